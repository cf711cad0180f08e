"""The log lines that are many: of each line of a conversation, of each delivery.

The logging module makes an object of each line, asks filters and handlers about it, and writes it: some ten times a
message that costs more than to deliver the message. An event is a line at once, and those of one turn of a service's
loop are written together.

Gives: `EventLog`, for people or for programs; its lines look as those of `logs.py`, have the level INFO, and are in
one order with them. `escaped`, for what comes from elsewhere.
Fails: never, with text that is `escaped`. A process that is killed loses the lines of the turn under way.
Limits: for the thread of the loop alone. In lines for people the caller escapes; those for programs are ASCII without
a control character whatever they tell.
"""

from __future__ import annotations

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from runtime.log_output import Output

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
_json = msgspec.json.Encoder().encode


def escaped(text: str) -> str:
    r"""Text that any terminal can show, in one line: what it would obey is written as `\x1b`."""
    # What is printable holds none of them; to look for that is ten times as fast.
    return text if text.isprintable() else text.translate(_ESCAPES)


class EventLog(ABC):
    """Makes a line of each event, and writes what was told in a turn when `flush` is called.

    :param output: where the lines go.
    :param service: the name that each line carries.
    """

    # Whether lines show the fields of their events, and their time in UTC as programs want it.
    fields: ClassVar[bool]

    def __init__(self, output: Output, service: str) -> None:
        # Called with `flush` at the first event of a turn, to have it called at the turn's end. By default nobody is,
        # and whoever has the loop calls it.
        self.soon: Callable[[Callable[[], None]], object] | None = None
        self._output = output
        self._service = service
        self._pid = os.getpid()
        self._lines: list[bytes] = []
        # The time of the latest line, its second in words, and how lines of that time begin.
        self._ms = self._second = -1
        self._date = ""
        self._head = b""

    @abstractmethod
    def tell(self, message: str, fields: Mapping[str, object]) -> None:
        """Something has happened.

        :param fields: what programs are told of it beside the message: `event`, `session` and more.
        """

    def flush(self) -> None:
        """Write what was told."""
        fresh: list[bytes] = []
        # One step: garbage that is collected in between may have something to log.
        lines, self._lines = self._lines, fresh
        if lines:
            self._output.write(self._joined(lines), len(lines))

    def _add(self, line: bytes) -> None:
        if self.soon is not None and not self._lines:
            self.soon(self.flush)
        self._lines.append(line)
        if len(self._lines) >= _MOST_LINES:
            self.flush()

    def _beginning(self) -> bytes:
        """How a line of this moment begins."""
        ms = time.time_ns() // 1_000_000
        if ms != self._ms:
            second, fraction = divmod(ms, 1000)
            if second != self._second:
                calendar = time.gmtime(second) if self.fields else time.localtime(second)
                self._second, self._date = second, time.strftime("%Y-%m-%dT%H:%M:%S", calendar)
            self._ms, self._head = ms, self._begin(f"{self._date}.{fraction:03d}").encode()
        return self._head

    @abstractmethod
    def _begin(self, now: str) -> str: ...

    def _joined(self, lines: list[bytes]) -> bytes:
        return b"".join(lines)


class ForPeople(EventLog):
    """LOG_FORMAT=human."""

    fields = False

    def tell(self, message: str, fields: Mapping[str, object]) -> None:  # noqa: ARG002
        self._add(b"%b%b\n" % (self._beginning(), message.encode("utf-8", "backslashreplace")))

    def _begin(self, now: str) -> str:
        return f"{now} {self._service}[{self._pid}] INFO "


class ForPrograms(EventLog):
    """LOG_FORMAT=json."""

    fields = True

    def tell(self, message: str, fields: Mapping[str, object]) -> None:
        # The fields go on in the object that the beginning has opened.
        self._add(self._beginning() + _json(message) + b"," + _json(fields)[1:] + b"\n")

    def _begin(self, now: str) -> str:
        return f'{{"time":"{now}Z","level":"INFO","service":"{self._service}","pid":{self._pid},"message":'

    def _joined(self, lines: list[bytes]) -> bytes:
        joined = b"".join(lines)
        if joined.isascii() and b"\x7f" not in joined:
            return joined
        return _NOT_PLAIN.sub(_as_escape, joined.decode()).encode()


def _as_escape(found: re.Match[str]) -> str:
    """A character as JSON's escape (RFC 8259 section 7): one of UTF-16's units, or two."""
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
