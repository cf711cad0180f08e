"""The texts of large messages, in plain files: a database would copy each of them page by page, many times over.

Gives: `Texts`. A text is put at the end of the file in use, and its `Spot` says where. The spots are in the journal's
database. From time to time the journal says which files the spots name. The other files are removed, or used again,
because overwriting a file is quicker than making it longer.
Promise: what was put before `sync` returned is on disk. No text is written over while the journal says that its file
is needed.
Fails: with OSError. Where a sync fails the file is left as it is and another one taken: the kernel counts its pages
as clean from then on, so a second sync would prove nothing.
Limits: a file has FULL octets and one text more. It is kept while one text in it is needed, so a message that waits
for long, or never ends, keeps up to that much of the disk. `_SPARES` files are kept to be used again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mailbox_store.journal.durable import Names, make_folder
from wire.records import Record

FULL = 4 * 1024 * 1024
_SPARES = 16


class Spot(Record):
    """Where a text is: `size` octets at `place` in the file of that number."""

    file: int
    place: int
    size: int


# The file in use and its end, to which a transaction that fails goes back.
Mark = tuple[int, int]


class Texts:
    """A folder of text files, used from one thread."""

    def __init__(self, folder: Path, after: int, full: int = FULL) -> None:
        """
        :param folder: made if it is missing.
        :param after: the highest file that the journal knows of; no new file gets its number or a lower one.
        :param full: octets after which a file is full.
        :raises OSError: where the folder cannot be made or read.
        """
        self._folder = folder
        self._full = full
        # It holds mail.
        # The names of the database and its log are synced with it: SQLite does not tell whether it could.
        make_folder(folder, 0o700)
        # The files on disk, as far as is known, and those of them whose names are there for good.
        self._there = {int(path.name) for path in folder.iterdir() if path.name.isdecimal()}
        self._named: set[int] = set()
        self._names = Names(folder)
        self._last = max(after, *self._there, 0)
        self._spares: list[int] = []
        # The file in use; 0 and -1 for none.
        self._number = 0
        self._fd = -1
        self._end = 0
        # Whether `sync` has something to do.
        self.unsynced = False

    @property
    def may_let_go(self) -> bool:
        """Whether there are files besides the one in use that may not be needed any more."""
        return len(self._there) - len(self._spares) > 1

    @property
    def mark(self) -> Mark:
        """Where the next text goes."""
        return self._number, self._end

    def rewind(self, mark: Mark) -> None:
        """Forget what was put since that mark. A file that was begun since then goes on, from its beginning."""
        if self._fd >= 0:
            self._end = mark[1] if mark[0] == self._number else 0

    def put(self, text: bytes) -> Spot:
        """Write a text; it is on disk after the next `sync`."""
        if self._fd < 0 or self._end >= self._full:
            self._begin()
        spot = Spot(self._number, self._end, len(text))
        place, rest = self._end, memoryview(text)
        self.unsynced = True
        while rest:
            written = os.pwrite(self._fd, rest, place)
            place, rest = place + written, rest[written:]
        self._end = place
        return spot

    def sync(self) -> None:
        """Return once all that was put is on disk."""
        if not self.unsynced:
            return
        try:
            os.fdatasync(self._fd)
            if self._number not in self._named:
                self._names.sync()
                self._named.add(self._number)
        except OSError:
            self._leave()
            raise
        self.unsynced = False

    def get(self, spot: Spot) -> bytes:
        """Read a text."""
        if spot.file == self._number:
            return self._read(self._fd, spot)
        fd = os.open(self._path(spot.file), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._read(fd, spot)
        finally:
            os.close(fd)

    def keep(self, needed: Collection[int]) -> None:
        """Let go of the files that are neither needed nor in use. What cannot be removed is tried again next time."""
        for number in self._there.difference(needed, self._spares, [self._number]):
            if len(self._spares) < _SPARES:
                self._spares.append(number)
            else:
                self._remove(number)

    def clear(self, needed: Collection[int]) -> None:
        """Leave the file in use, and remove all that are not needed; the next text goes to a new one."""
        self._leave()
        self._spares.clear()
        for number in self._there.difference(needed):
            self._remove(number)

    def _begin(self) -> None:
        self.sync()
        self._leave()
        while self._spares:
            number = self._spares.pop()
            try:
                self._fd = os.open(self._path(number), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                self._forget(number)
            else:
                self._number = number
                return
        # Counted before, so that a stranger's file of that number is in the way once.
        self._last += 1
        self._fd = os.open(self._path(self._last), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._number = self._last
        self._there.add(self._number)

    def _leave(self) -> None:
        fd = self._fd
        self._number, self._fd, self._end, self.unsynced = 0, -1, 0, False
        if fd >= 0:
            # What matters has been synced; the descriptor is gone even where this fails.
            with suppress(OSError):
                os.close(fd)

    def _read(self, fd: int, spot: Spot) -> bytes:
        parts, place, left = [], spot.place, spot.size
        while left:
            part = os.pread(fd, left, place)
            if not part:
                raise OSError(errno.EIO, "The file ends before the text does", self._path(spot.file))
            parts.append(part)
            place, left = place + len(part), left - len(part)
        return b"".join(parts)

    def _remove(self, number: int) -> None:
        try:
            os.unlink(self._path(number))  # noqa: PTH108  # the paths of this module are text
        except FileNotFoundError:
            pass
        except OSError:
            return
        self._forget(number)

    def _forget(self, number: int) -> None:
        self._there.discard(number)
        self._named.discard(number)

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:08}"
