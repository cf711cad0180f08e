"""The logs of a stack as one, in the order of time: what `make logs FOLLOW=no` shows.

Gives: `of_folder`, what the log files of each service hold, rotated ones and those of the start before included;
`merged`, the lines of several services as one; `last` of each; `show`.
Fails: with OSError where a file cannot be read; one that is rotated away meanwhile is passed over.
Limits: a line is sorted by the time that it begins with; what has none stays behind the line before it. Times are
compared as they are written, so human lines and JSON's, which are in UTC, are not mixed well.
"""

from __future__ import annotations

import heapq
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

_TIME = re.compile(rb'(?:\{"time": ?")?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})')
# NAME.log, NAME.log.1 and older ones, NAME.log.before: of the start before this one.
_NAME = re.compile(r"(?P<service>.+)\.log(?:\.(?P<age>\d+|before))?")


def of_folder(folder: Path) -> list[Iterator[bytes]]:
    """The lines of each service, oldest first."""
    found: dict[str, list[tuple[int, int, Path]]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if name := _NAME.fullmatch(path.name):
            age = name["age"] or "0"
            # What was written last is the youngest; the numbers decide where the clock is too coarse.
            entry = (path.stat().st_mtime_ns, -int(age) if age.isdigit() else -1, path)
            found.setdefault(name["service"], []).append(entry)
    return [_lines(path for _, _, path in sorted(files)) for _, files in sorted(found.items())]


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            with path.open("rb") as file:
                for line in file:
                    yield line if line.endswith(b"\n") else line + b"\n"
        except FileNotFoundError:
            continue


def last(count: int | None, services: list[Iterator[bytes]]) -> list[Iterator[bytes]]:
    """So many lines of each service, the last ones; None: all."""
    return services if count is None else [iter(deque(lines, maxlen=count)) for lines in services]


def merged(services: Iterable[Iterator[bytes]]) -> Iterator[bytes]:
    """All lines in the order of their times; those of one service stay in its own order."""
    return (line for _, line in heapq.merge(*map(_timed, services), key=lambda timed: timed[0]))


def _timed(lines: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    latest = b""
    for line in lines:
        if time := _TIME.match(line):
            # A clock that was set back, or the next start's other format, moves nothing before what came first.
            latest = max(latest, time[1])
        yield latest, line


def show(lines: Iterable[bytes]) -> None:
    """Write them to standard output, for as long as somebody reads."""
    try:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
