"""What the services of a stack complain of in their logs, as it comes: the lines of level WARNING and above.

Gives: `Complaints`, whose `read` gives the lines that were not given before, in either form of the log.
Fails: never; what cannot be read has no lines.
Limits: of what one log gets between two reads the last `_MOST_OCTETS` are looked at, the rest of a file that was
rotated meanwhile is not; lines that are in neither form, such as a crashing interpreter's, are left to the log.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# A few hundred lines: more than a screen shows.
_MOST_OCTETS = 64 * 1024
# 2026-11-27T16:34:28.174 store[17985] WARNING what it is
_HUMAN = re.compile(rb"^\S+ [a-z_]+\[[0-9]+\] (?:WARNING|ERROR|CRITICAL) ")
_GRAVE = frozenset({"WARNING", "ERROR", "CRITICAL"})


class Complaints:
    """Those of one stack, from the begin of its logs.

    :param run: its folder.
    """

    def __init__(self, run: Path) -> None:
        self._logs = run / "logs"
        # Of each log which file it was, and how far it was read.
        self._read: dict[Path, tuple[int, int]] = {}

    def read(self) -> Iterator[str]:
        """The whole lines that have come since the last read."""
        with suppress(OSError):
            for log in sorted(self._logs.glob("*.log")):
                for line in self._new(log):
                    if _HUMAN.match(line) or _is_grave(line):
                        yield line.decode("utf-8", "replace")

    def _new(self, log: Path) -> list[bytes]:
        with log.open("rb") as file:
            status = os.fstat(file.fileno())
            known, offset = self._read.get(log, (status.st_ino, 0))
            if known != status.st_ino or offset > status.st_size:
                offset = 0
            skipped = max(offset, status.st_size - _MOST_OCTETS)
            file.seek(skipped)
            whole = file.read(_MOST_OCTETS).rpartition(b"\n")
            self._read[log] = (status.st_ino, skipped + len(whole[0]) + len(whole[1]))
        # The begin of a line that was cut is no line.
        return whole[0].splitlines()[1 if skipped > offset else 0 :]


def _is_grave(line: bytes) -> bool:
    if line.startswith(b"{"):
        with suppress(ValueError):
            told = json.loads(line)
            return isinstance(told, dict) and told.get("level") in _GRAVE
    return False
