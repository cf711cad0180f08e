"""How many messages a folder of mboxes has got: what was acknowledged must be there.

In an mboxrd file a line that begins with `From ` is a separator and nothing else, for those of messages are quoted.
Only what was added since the last look is read, so a look costs what arrived, and one stat for each mailbox.
"""

from __future__ import annotations

import os
from pathlib import Path

_SEPARATOR = b"\nFrom "
# Enough of the end of what was read to meet a separator that begins there.
_KEPT = len(_SEPARATOR) - 1
_CHUNK = 1024 * 1024


class Counter:
    """Counts messages in `*.txt` of a folder, from the beginning of each file."""

    def __init__(self, folder: Path) -> None:
        self.messages = 0
        self._folder = folder
        # For each file: the octets read, and the last few of them. A file begins as if after a line.
        self._seen: dict[str, tuple[int, bytes]] = {}

    def look(self) -> int:
        """Read what was added; gives the number of messages seen so far."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".txt"):
                    size = entry.stat().st_size
                    if size != self._seen.get(entry.name, (0, b""))[0]:
                        self._read(entry.name)
        return self.messages

    def octets(self) -> int:
        """The octets read so far of the files that are there."""
        return sum(size for size, _ in self._seen.values())

    def empty(self) -> None:
        """Cut all mailboxes to nothing; the count stays."""
        self.look()
        for name in self._seen:
            os.truncate(self._folder / name, 0)
        self._seen.clear()

    def _read(self, name: str) -> None:
        offset, kept = self._seen.get(name, (0, b"\n"))
        with (self._folder / name).open("rb") as file:
            file.seek(offset)
            while chunk := file.read(_CHUNK):
                offset += len(chunk)
                text = kept + chunk
                self.messages += text.count(_SEPARATOR)
                kept = text[-_KEPT:]
        self._seen[name] = (offset, kept)
