"""What a service records for every message: log lines, and how values are distributed.

The logging module makes an object of each line, asks filters and handlers about it, and writes it. At some ten lines
a message, that would cost more than delivering the message. Here an event becomes a line at once, and the lines of
one turn of a service's loop are written together.

Gives: `EventLog`, for people or for programs; its lines look as those of `logs.py`, have the level INFO, and are in
one order with them. `Output`, by which both leave the process. `escaped`, for what comes from elsewhere; `quoted` and
`members`, for programs. `Histogram`, which `metrics.py` shows.
Fails: never, with text that is `escaped`. A process that is killed loses the lines of the turn under way.
Limits: an `EventLog` is for the thread of the loop alone. In lines for people the caller escapes; those for programs
are ASCII without a control character whatever they tell.
"""

from __future__ import annotations

import os
import re
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

# From what a step takes on an idle machine to the longest that anybody is made to wait.
SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a line by hand to the default limit of a message.
OCTETS = (256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 33554432)
# LOG_FORMAT.
Form = Literal["human", "json"]
# C0, DEL and C1 control characters, the Unicode line ends, those that turn the direction of text around, and the
# halves of UTF-16's pairs, which UTF-8 cannot hold.
_OBEYED = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x2028,
    0x2029,
    0x061C,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _OBEYED}
# A turn that has so many lines writes them before its end: they take a few megabytes of memory at most.
_MOST_LINES = 256
# JSON may hold these as they are. Written as escapes, no terminal obeys them and any program can read them.
_NOT_PLAIN = re.compile("[\x7f-\U0010ffff]")
# The conversations of some thousand messages, and the most that a pipe may hold (fs.pipe-max-size, pipe(7)).
MOST_WAITING = 1024 * 1024
# Given to the system at a time, at most: what a pipe holds that nobody has made larger.
_PORTION = 64 * 1024
# A failed write may cost a journaling file system a commit.
_ERROR_PAUSE = 1.0
# At the end of the process what waits has this long, in seconds, to be read.
_LAST_SECONDS = 1.0
_LAST_LOOK = 0.01
_BEHIND = "whoever reads them does not keep up"

# Writes some octets or all, and says how many; BlockingIOError where it would have to wait.
Write: TypeAlias = Callable[[bytes | bytearray], int]
_json = msgspec.json.Encoder().encode


def escaped(text: str) -> str:
    r"""Text that any terminal can show, in one line: what it would obey is written as `\x1b`."""
    # What is printable holds none of them; to look for that is ten times as fast.
    return text if text.isprintable() else text.translate(_ESCAPES)


def quoted(text: str) -> str:
    """A text as JSON has it."""
    return _json(text).decode()


def members(**fields: object) -> str:
    """What is between the braces of a JSON object with these fields."""
    return _json(fields)[1:-1].decode()


def plain(line: str) -> str:
    """A line of JSON in ASCII, without DEL."""
    return line if line.isascii() and "\x7f" not in line else _NOT_PLAIN.sub(_as_escape, line)


class EventLog:
    """Makes a line of each event, and writes what was told in a turn when `flush` is called.

    :param output: where the lines go.
    :param service: the name that each line carries.
    :param form: for whom they are, LOG_FORMAT.
    :param clock: ns since the epoch.
    """

    def __init__(
        self, output: Output, service: str, form: Form = "human", clock: Callable[[], int] = time.time_ns
    ) -> None:
        # Whether lines show the fields of their events.
        self.fields = form == "json"
        # Called with `flush` at the first event of a turn, to have it called at the turn's end. By default nobody is,
        # and whoever has the loop calls it.
        self.soon: Callable[[Callable[[], None]], object] | None = None
        self._output = output
        self._clock = clock
        # What is around the time.
        self._before, self._after = "", f" {service}[{os.getpid()}] INFO "
        if self.fields:
            self._before = '{"time":"'
            self._after = f'Z","level":"INFO","service":"{service}","pid":{os.getpid()},"message":'
        self._lines: list[str] = []
        # The time of the latest line, its second in words, and how lines of that time begin.
        self._ms = self._second = -1
        self._date = self._head = ""

    def tell(self, message: str, fields: str) -> None:
        """Something has happened.

        :param fields: what programs are told of it beside the message, as `members` has it: `event`, `session` and
            more. Nobody looks at them unless `self.fields`.
        """
        # Some ten times a message: no call more than it takes.
        ms = self._clock() // 1_000_000
        if ms != self._ms:
            self._begin(ms)
        if self.fields:
            # The fields go on in the object that the beginning has opened.
            line = f"{self._head}{_json(message).decode()},{fields}}}\n"
        else:
            line = f"{self._head}{message}\n"
        if not self._lines:
            if self.soon is not None:
                self.soon(self.flush)
        elif len(self._lines) >= _MOST_LINES:
            self.flush()
        self._lines.append(line)

    def flush(self) -> None:
        """Write what was told."""
        fresh: list[str] = []
        # One step: garbage that is collected in between may have something to log.
        lines, self._lines = self._lines, fresh
        if lines:
            joined = plain("".join(lines)) if self.fields else "".join(lines)
            self._output.write(joined.encode("utf-8", "backslashreplace"), len(lines))

    def _begin(self, ms: int) -> None:
        """Say how lines of this time begin."""
        second, fraction = divmod(ms, 1000)
        if second != self._second:
            calendar = time.gmtime(second) if self.fields else time.localtime(second)
            self._second, self._date = second, time.strftime("%Y-%m-%dT%H:%M:%S", calendar)
        self._ms, self._head = ms, f"{self._before}{self._date}.{fraction:03d}{self._after}"


class Output:
    """The log's way out of this process, for whole lines from any thread.

    It never waits: neither for a reader of a pipe, a terminal or a socket that does not read, nor for a disk to have
    room. What cannot be written now waits, up to `MOST_WAITING` octets, and is tried again with each `write` and each
    `catch_up`, after an error of the disk once a second. What has no room to wait is dropped and counted in `lost`;
    all that follows is, until what waits is out, so that there is one gap, and a line that tells of it stands in its
    place. Of the lines of one `write` it drops all or none.

    :param write: what writes (`logs.open_destination`).
    :param gap: makes the line that says how many lines were lost, and why.
    """

    def __init__(self, write: Write, gap: Callable[[int, str], bytes]) -> None:
        # Lines that were dropped, since the start.
        self.lost = 0
        self._gap_line = gap
        self._lock = threading.Lock()
        # What was given and not looked at yet: lines, and how many.
        self._given: deque[tuple[bytes, int]] = deque()
        self._waiting = bytearray()
        # Lines that were dropped since the latest that was not.
        self._gap = 0
        # Why the latest try did not write all, and when an error was the reason.
        self._why = _BEHIND
        self._failed = float("-inf")
        self._write = write

    def write(self, lines: bytes, count: int = 1) -> None:
        """Write lines, each with its end: now, or as soon as they can be.

        :param count: how many there are.
        """
        self._given.append((lines, count))
        self._work()

    def catch_up(self) -> None:
        """Try again to write what waits. Call it about once a second."""
        if self._waiting:
            self._work()

    def close(self) -> None:
        """Wait a moment for a reader to take what waits; call it at the end of the process."""
        deadline = time.monotonic() + _LAST_SECONDS
        self.catch_up()
        while self._waiting and self._why is _BEHIND and time.monotonic() < deadline:
            time.sleep(_LAST_LOOK)
            self.catch_up()

    def _work(self) -> None:
        # Who finds the lock taken leaves the lines to whoever has it, and that looks again once it is free: another
        # thread, or this one, where a garbage collection in its midst had something to log.
        while self._lock.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._lock.release()
            if not self._given:
                return

    def _drain(self) -> None:
        self._push()
        while self._given:
            lines, count = self._given.popleft()
            if not self._waiting:
                self._waiting += lines[self._try(lines) :]
            elif self._gap or len(self._waiting) + len(lines) > MOST_WAITING:
                self._gap += count
                self.lost += count
            else:
                self._waiting += lines

    def _push(self) -> None:
        while self._waiting:
            del self._waiting[: self._try(self._waiting)]
            if self._waiting:
                return
            if self._gap:
                self._waiting += self._gap_line(self._gap, self._why)
                self._gap = 0

    def _try(self, octets: bytes | bytearray) -> int:
        """Write as much as can be written now; gives how much that was."""
        if time.monotonic() - self._failed < _ERROR_PAUSE:
            return 0
        sent = 0
        try:
            while sent < len(octets):
                sent += self._write(octets[sent : sent + _PORTION])
        except BlockingIOError:
            self._why = _BEHIND
        except OSError as error:
            self._why, self._failed = error.strerror or str(error), time.monotonic()
        return sent


class Histogram:
    """How often a value fell into each of some ranges: what a distribution costs on the way of every message.

    Written from one thread; another one that reads it meanwhile may miss the value that is being added.

    :param bounds: the upper bounds of the ranges, rising; each belongs to its range. One more range is above them.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        # One number for each range, and one for what is above the last bound.
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def _as_escape(found: re.Match[str]) -> str:
    """A character as JSON's escape (RFC 8259 section 7): one of UTF-16's units, or two."""
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
