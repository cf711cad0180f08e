"""Transcripts: SMTP sessions as they look on the wire, with what must be in the mailboxes afterwards.

A transcript is a text file `<name>.smtp`, read line by line:

    # text               a comment; empty lines mean nothing either
    ! NAME=value         before the first C: or S: line, a setting of the services, as in their environment
    ! USERS=a@b c@d      likewise, the users; {1..3} in an address stands for three of them. Without it: USERS below
    ! LF                 the client ends its lines with LF; without it, with CRLF
    ! memory only        for a fault that a running stack cannot be given: never run over TCP
    ! stack only         for what a gateway does by itself: never run in memory
    S: 250 2.1.0 ...     the next reply line; code and enhanced code are exact, ... stands for any text
    S: (closes)          the server has closed the connection
    C: MAIL FROM:<a@b>   the client sends this and a line end; C: lines in a row are one write
    C| \\x00 {ab*3}\\n     the client sends these octets: \\r \\n \\t \\\\ \\xHH are escapes, {ab*3} is ababab
    C: (leaves)          the client closes its connection
    ! store silent       from here on the store ... `test_in_memory.TroubledStore` says what it can suffer
    ! stack stop-workers from here on ... `STACK_EVENTS` lists what can befall a running stack
    repeat 1..20         the lines up to `end`, twenty times, {n} being the number
    end

Beside a transcript that delivers lies `<name>.<address>.mbox` for each mailbox that is not empty afterwards: the
mailbox file, octet for octet, in which {id} stands for a delivery id, {peer} for the client's address, {date} and
{asctime} for a point in time; `repeat` and `end` work there as well. A mailbox without such a file must be empty.

Every transcript is run twice, and each run shows what the other cannot. In memory (test_in_memory.py), gateway and
worker are in one object with a store over dictionaries (`deploy/in_memory.py`): it takes seconds to send each octet
in a write of its own, to do each step twice, and to have a store that fails on cue. Over TCP (test_over_tcp.py), the
three services run as processes: sockets, the real journal and mailbox files, and a gateway whose workers are gone.
test_format.py tests this module.

This module only reads and compares; who runs a transcript sends its octets. It raises ValueError on a bad line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

FOLDER = Path(__file__).parent
USERS = ("maria@example.com", "joao@example.com", "ana@example.org")
# `connect-another` comes first: another client is connected, and stays, before this one connects.
STACK_EVENTS = ("connect-another", "stop-workers", "stop-gateway")
# Texts in reply lines of S: that are no reply.
_CLOSES = "(closes)"
_LEAVES = "(leaves)"


@dataclass(frozen=True)
class Send:
    """The client writes these octets."""

    octets: bytearray


@dataclass(frozen=True)
class Expect:
    """The server says a line like this one, given without its CRLF."""

    line: str


@dataclass(frozen=True)
class Closes:
    """The server has closed the connection: all that remains to be read is its end."""


@dataclass(frozen=True)
class Leaves:
    """The client closes the connection."""


@dataclass(frozen=True)
class Store:
    """From here on the store suffers this."""

    fault: str


@dataclass(frozen=True)
class Stack:
    """From here on this has befallen the stack, one of STACK_EVENTS."""

    event: str


Event: TypeAlias = Send | Expect | Closes | Leaves | Store | Stack


@dataclass
class Transcript:
    """A session: what happens, in order, and what it needs.

    `settings` are environment variables; `eol` is the client's line end; `mailboxes` maps an address to the expected
    mailbox file, for `mailbox_mismatch`.
    """

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = USERS
    eol: bytes = b"\r\n"
    memory_only: bool = False
    stack_only: bool = False
    events: list[Event] = field(default_factory=list)
    mailboxes: dict[str, bytes] = field(default_factory=dict)

    @property
    def input(self) -> bytes:
        """All that the client sends."""
        return b"".join(event.octets for event in self.events if isinstance(event, Send))

    @property
    def replies(self) -> list[str]:
        """All that the server says."""
        return [event.line for event in self.events if isinstance(event, Expect)]

    @property
    def in_one_write(self) -> bool:
        """Whether the session is the same when the client writes everything at once: nothing else happens in it."""
        return all(isinstance(event, Send | Expect | Closes) for event in self.events)


def all_transcripts() -> list[Path]:
    """Every transcript of this folder."""
    return sorted(FOLDER.glob("*.smtp"))


def load(path: Path) -> Transcript:
    """Read a transcript and the mailboxes beside it.

    :raises ValueError: naming file and line of what is not in the format.
    """
    transcript = Transcript(path.stem)
    lines = list(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in _repeated(lines, path):
        if not _read_line(transcript, line):
            raise ValueError(f"{path.name}:{number}: not a line of a transcript: {line}")
    for mailbox in sorted(path.parent.glob(f"{path.stem}.*.mbox")):
        address = mailbox.name.removeprefix(f"{path.stem}.").removesuffix(".mbox")
        # Mail is octets; Latin-1 has a letter for each.
        octets = list(enumerate(mailbox.read_bytes().decode("latin-1").split("\n"), 1))
        transcript.mailboxes[address] = "\n".join(line for _, line in _repeated(octets, mailbox)).encode("latin-1")
    return transcript


def _repeated(lines: list[tuple[int, str]], path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines, with what stands between `repeat` and `end` as often as it says."""
    position = 0
    while position < len(lines):
        number, line = lines[position]
        position += 1
        loop = re.fullmatch(r"repeat (\d+)\.\.(\d+)", line)
        if loop is None:
            yield number, line
            continue
        end = next((at for at in range(position, len(lines)) if lines[at][1] == "end"), None)
        if end is None:
            raise ValueError(f"{path.name}:{number}: repeat without end")
        for turn in range(int(loop[1]), int(loop[2]) + 1):
            yield from ((at, text.replace("{n}", str(turn))) for at, text in lines[position:end])
        position = end + 1


def _read_line(transcript: Transcript, line: str) -> bool:
    mark, rest = line[:2], line[2:].removeprefix(" ")
    if not line.strip() or line.startswith("#"):
        return True
    if mark == "! ":
        return _direct(transcript, rest)
    if mark == "S:":
        transcript.events.append(Closes() if rest == _CLOSES else Expect(rest))
    elif mark == "C:" and rest == _LEAVES:
        transcript.events.append(Leaves())
    elif mark == "C:":
        _send(transcript, rest.encode() + transcript.eol)
    elif mark == "C|":
        _send(transcript, unescape(rest))
    else:
        return False
    return True


def _send(transcript: Transcript, octets: bytes) -> None:
    if transcript.events and isinstance(last := transcript.events[-1], Send):
        last.octets.extend(octets)
    else:
        transcript.events.append(Send(bytearray(octets)))


def _direct(transcript: Transcript, text: str) -> bool:
    kind, _, rest = text.partition(" ")
    if kind == "store" and rest:
        transcript.events.append(Store(rest))
        return True
    if kind == "stack" and rest in STACK_EVENTS:
        transcript.events.append(Stack(rest))
        return True
    if transcript.events:
        return False
    if text == "LF":
        transcript.eol = b"\n"
    elif text == "memory only":
        transcript.memory_only = True
    elif text == "stack only":
        transcript.stack_only = True
    elif setting := re.fullmatch(r"([A-Z_]+)=(.*)", text):
        if setting[1] == "USERS":
            transcript.users = tuple(user for word in setting[2].split() for user in _users(word))
        else:
            transcript.settings[setting[1]] = setting[2]
    else:
        return False
    return True


def _users(word: str) -> list[str]:
    span = re.search(r"\{(\d+)\.\.(\d+)\}", word)
    if span is None:
        return [word]
    return [word.replace(span[0], str(number)) for number in range(int(span[1]), int(span[2]) + 1)]


_ESCAPES = {b"\\r": b"\r", b"\\n": b"\n", b"\\t": b"\t", b"\\\\": b"\\"}


def unescape(text: str) -> bytes:
    """The octets that a C| line stands for."""

    def octet(found: re.Match[bytes]) -> bytes:
        escape = found[0]
        return bytes([int(escape[2:], 16)]) if escape.startswith(b"\\x") else _ESCAPES[escape]

    repeated = re.sub(rb"\{([^{}*]+)\*(\d+)\}", lambda found: found[1] * int(found[2]), text.encode())
    return re.sub(rb"\\x[0-9a-fA-F]{2}|\\[rnt\\]", octet, repeated)


def mismatch(expected: str, actual: str) -> str | None:
    """Compare a reply line, without CRLF, with the one of a transcript; gives what is wrong, or None."""
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return None if re.fullmatch(pattern, actual) else f"expected {expected!r}, got {actual!r}"


_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_PLACEHOLDERS = {
    b"{id}": rb"[0-9A-Za-z-]+\.[0-9]+",
    b"{peer}": rb"(?:[0-9]+\.){3}[0-9]+",
    b"{date}": _DAY + rb", [0-9]{2} " + _MONTH + rb" [0-9]{4} [0-9:]{8} \+0000",
    b"{asctime}": _DAY + b" " + _MONTH + rb" [ 0-9][0-9] [0-9:]{8} [0-9]{4}",
}


def mailbox_mismatch(expected: bytes, actual: bytes) -> str | None:
    """Compare a mailbox file with a transcript's; gives the first line that is wrong, or None."""
    wanted, got = expected.split(b"\n"), actual.split(b"\n")
    for number, (pattern, line) in enumerate(zip(wanted, got, strict=False), 1):
        if pattern == line:
            continue
        parts = re.split(rb"(\{(?:id|peer|date|asctime)\})", pattern)
        regex = b"".join(_PLACEHOLDERS.get(part) or re.escape(part) for part in parts)
        if not re.fullmatch(regex, line, re.DOTALL):
            return f"line {number}: expected {pattern!r}, got {line!r}"
    if len(wanted) != len(got):
        return (
            f"expected {len(wanted) - 1} lines, got {len(got) - 1}: {(wanted[len(got) :] or got[len(wanted) :])[:5]}"
        )
    return None
