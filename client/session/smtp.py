"""The client's side of SMTP (RFC 5321) without any I/O.

Gives: `ReplyReader`, which takes octets cut anywhere and gives whole replies; `Exchanges`, which knows from the lines
sent and the replies received what the server expects next; `canonical` and `stuffed`, which turn a message into what
follows DATA; `extensions`, what an EHLO reply offers.
Fails: `ReplyError` when the server's octets are not SMTP replies. Nothing else raises.
Limits: a reply has at most `MAX_REPLY_LINES` lines of `MAX_REPLY_LINE` octets, so a server cannot fill the memory.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

CRLF = b"\r\n"
END_OF_DATA = b"."

# RFC 5321 section 4.5.3.1.5 allows 512 octets; servers with long texts are met in the wild.
MAX_REPLY_LINE = 4096
# The longest HELP or EHLO replies have some dozens of lines.
MAX_REPLY_LINES = 1000

# RFC 5321 section 4.2: Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
# Reply-code = %x32-35 %x30-35 %x30-39, taken a little wider in the second digit.
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


class ReplyError(ValueError):
    """The server broke the rules of replies; the text says how."""


@dataclass(frozen=True, slots=True)
class ServerReply:
    """One reply: its code, and the text of each of its lines (octets that are not UTF-8 as `\\xNN`)."""

    code: int
    texts: tuple[str, ...]

    def __str__(self) -> str:
        """The reply as the server sent it, lines joined by line feeds."""
        *first, last = self.texts
        return "\n".join([*(f"{self.code}-{text}" for text in first), f"{self.code} {last}".rstrip(" ")])

    @property
    def positive(self) -> bool:
        """The server did what it was asked (2xx)."""
        return 200 <= self.code <= 299


class ReplyReader:
    """Octets in, replies out. After a ReplyError the stream is out of step and every further call raises it again."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._code = 0
        self._texts: list[str] = []
        self._error: ReplyError | None = None

    def feed(self, octets: bytes) -> None:
        """Take what the server sent, cut anywhere."""
        self._buffer += octets

    def next_reply(self) -> ServerReply | None:
        """The next whole reply, or None when more octets are needed.

        :raises ReplyError: what comes next is not a reply.
        """
        if self._error is not None:
            raise self._error
        try:
            while (line := self._next_line()) is not None:
                if self._take(line):
                    reply = ServerReply(self._code, tuple(self._texts))
                    self._code, self._texts = 0, []
                    return reply
        except ReplyError as error:
            self._error = error
            raise
        return None

    @property
    def unfinished(self) -> str:
        """What has come that is no reply yet: a server's last words when it closes in the middle of them."""
        lines = [f"{self._code}-{text}" for text in self._texts]
        if self._buffer:
            lines.append(_decode(bytes(self._buffer[:MAX_REPLY_LINE]).rstrip(CRLF)))
        return "\n".join(lines)

    def _next_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._scanned)
        length = len(self._buffer) if end < 0 else end
        if length > MAX_REPLY_LINE:
            raise ReplyError(f"a reply line of more than {MAX_REPLY_LINE} octets")
        if end < 0:
            self._scanned = len(self._buffer)
            return None
        # A server that ends its lines with LF alone is understood as well.
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        self._scanned = 0
        return line

    def _take(self, line: bytes) -> bool:
        """Add a line to the reply under way; true if it was the last one."""
        parts = _REPLY_LINE.fullmatch(line)
        if parts is None:
            raise ReplyError(f"not a reply line (code, blank or hyphen, text): {_decode(line[:80])}")
        code = int(parts[1])
        if self._texts and code != self._code:
            raise ReplyError(f"a reply that began with code {self._code} goes on with {code}")
        if len(self._texts) == MAX_REPLY_LINES:
            raise ReplyError(f"a reply of more than {MAX_REPLY_LINES} lines")
        self._code = code
        self._texts.append(_decode(parts[3] or b""))
        return parts[2] != b"-"


def _decode(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


class Expects(Enum):
    """What the server takes the client's next line for."""

    COMMAND = "a command"
    MESSAGE = "a line of the message, until a single dot"
    RESPONSE = "the answer to a question, as in AUTH (RFC 4954)"


# RFC 2920 section 3.1: these must be the last of a group, for their replies decide what may come next; RFC 3207
# and RFC 4954 add theirs. HELO stands for EHLO.
_LAST_IN_GROUP = frozenset(
    {b"HELO", b"EHLO", b"DATA", b"VRFY", b"EXPN", b"TURN", b"QUIT", b"NOOP", b"STARTTLS", b"AUTH"}
)
# Stands in the queue for what the greeting replies to; no line holds a line feed.
GREETING = b"\n"


class Exchanges:
    """What a client must know of its session, from the lines it sent and the replies it received.

    Replies come in the order of the commands (RFC 5321 section 4.1.1), so a queue of lines without a reply is all
    there is to it, pipelined or not: 354 means that what was sent after its command is message, up to a single dot.
    """

    def __init__(self) -> None:
        # RFC 5321 section 3.1: the server speaks first, so the greeting is a reply to wait for.
        self._unanswered = deque([GREETING])
        self.expects = Expects.COMMAND
        self.farewell = False  # the server has said 221
        self.closing = False  # the server has said 221 or 421 and closes

    @property
    def waiting(self) -> int:
        """How many replies are still to come."""
        return len(self._unanswered)

    @property
    def may_send(self) -> bool:
        """Whether a line sent now means what it means now, whatever the replies to come are."""
        if self.closing:
            return False
        if not self._unanswered:
            return True
        last = self._unanswered[-1]
        return last != GREETING and verb_of(last) not in _LAST_IN_GROUP

    def sent(self, line: bytes) -> None:
        """A line was sent, given here without its line end."""
        if self.expects is Expects.MESSAGE:
            if line == END_OF_DATA:
                self.expects = Expects.COMMAND
                self._unanswered.append(line)
            return
        self.expects = Expects.COMMAND
        self._unanswered.append(line)

    def received(self, reply: ServerReply) -> bytes | None:
        """A reply came: to the oldest line without one, or unasked, as 421 may be (RFC 5321 section 3.8).

        :returns: the line that it replies to, GREETING for none that was sent; None where it was unasked.
        """
        if reply.code in (221, 421):
            self.closing = True
            self.farewell = reply.code == 221
        if not self._unanswered:
            return None
        answered = self._unanswered.popleft()
        if reply.code == 354:
            self.expects = Expects.MESSAGE
            # A client that did not wait has sent these as commands; the server reads them as message.
            early, self._unanswered = self._unanswered, deque()
            for line in early:
                self.sent(line)
        elif reply.code == 334 and not self._unanswered:
            self.expects = Expects.RESPONSE
        return answered


def verb_of(line: bytes) -> bytes:
    """The first word of a command line, in capitals."""
    return line.split(b" ", 1)[0].strip().upper()


def extensions(ehlo: ServerReply) -> dict[str, str]:
    """The keywords of an EHLO reply in upper case, each with its parameters (RFC 5321 section 4.1.1.1)."""
    offered = {}
    for text in ehlo.texts[1:]:
        keyword, _, parameters = text.strip().partition(" ")
        offered[keyword.upper()] = parameters
    return offered


def canonical(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Text with its lines ended by CRLF, the last one too.

    LF, CRLF and lone CR are all taken for line ends: a client must not send CR or LF but together (RFC 5321
    section 2.3.8).

    :param chunks: octets, cut anywhere.
    """
    carried = b""  # a CR at the end of a chunk, which may be half of a CRLF
    ended = True
    for chunk in chunks:
        octets = carried + chunk
        carried = b"\r" if octets.endswith(b"\r") else b""
        octets = octets[: len(octets) - len(carried)]
        if octets:
            lines = octets.replace(CRLF, b"\n").replace(b"\r", b"\n")
            ended = lines.endswith(b"\n")
            yield lines.replace(b"\n", CRLF)
    if carried or not ended:
        yield CRLF


def stuffed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What is sent after 354: a dot before each that begins a line, and the end of data (RFC 5321 section 4.5.2).

    :param chunks: canonical text, cut anywhere.
    """
    line_start = True
    for chunk in chunks:
        if chunk:
            # In canonical text a LF is always the second half of a CRLF.
            octets = chunk.replace(b"\n.", b"\n..")
            yield b"." + octets if line_start and chunk.startswith(b".") else octets
            line_start = chunk.endswith(b"\n")
    yield END_OF_DATA + CRLF
