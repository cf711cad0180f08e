"""Turns a client's octets, however they are cut, into the inputs of steps: command lines and pieces of messages.

Gives: a `Framer`, fed with octets and asked for the next input. What it gives depends on the octets, and on the size
of piece that is asked for, never on how they were cut. It does no I/O and has no clock.
Fails: never on octets; any octets are lines or a message.
Limits: it holds what it was fed and has not handed on. Of a command line without an end it keeps up to MAX_LINE; of a
message, `take` leaves less than a piece behind. The caller looks at `held` and stops reading in time.
Time is linear in the octets fed, because nothing is searched twice.

Line ends (RFC 5321 section 2.3.8, and "SMTP smuggling"). The end of the first command line locks the session:

    session  command line ends at      message line ends at  message ends at         data in a message, sets `bare`
    CRLF     CRLF, an LF is tolerated  CRLF                  CRLF . CRLF             a CR or an LF by itself
    LF       LF, a CR before it goes   LF or CRLF            LF . LF or CRLF . CRLF  a CR by itself

An LF session is that of a person, or of a program that took LF for its first line and may say CRLF from then on. It
opens no way to smuggle: no relay ends its greeting in LF, and no text that has passed one holds CRLF . CRLF.

The end of the line before a message counts as the first line end of the message, so a message may be `.` alone; in an
LF session it counts as either kind.
A message line that begins with a dot loses that dot (section 4.5.2).
"""

from __future__ import annotations

import re

from wire.limits import BODY_PIECE, MAX_LINE, MAX_LINES
from wire.messages import Body, Lines, ReadBody, ReadLines

_CRLF = b"\r\n"
_CR = b"\r"
_LF = b"\n"
_END_OF_DATA = b"\r\n.\r\n"
# Either end of data of an LF session, from the LF before its dot.
_END_IN_LF = re.compile(rb"\n\.(?:\n|\r\n(?<=\r\n\.\r\n))")


class Framer:
    """The input of one session: `feed` octets, `take` what they make, `resume` with what to read next.

    It begins with command lines.
    """

    __slots__ = ("_body", "_buffer", "_dropped", "_ends", "_eol", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        # Up to here there is no line end (lines) or no end of data (message), so no search begins before it.
        self._searched = 0
        # Where each line that `take` gave last ends in the buffer.
        self._ends: list[int] = []
        # The line that the buffer begins with was over MAX_LINE, and its beginning has been thrown away.
        self._dropped = False
        # The session's line end, once it is locked.
        self._eol = b""
        # The message that is being read, if one is.
        self._body: _BodyReader | None = None

    @property
    def held(self) -> int:
        """Octets held: those not yet taken, and those of lines taken and not yet consumed."""
        return len(self._buffer)

    @property
    def in_message(self) -> bool:
        """Whether what comes next is of a message."""
        return self._body is not None

    def feed(self, data: bytes | memoryview) -> None:
        """Add what the client sent."""
        self._buffer += data
        # Nothing but lines already given can stand before a line that is too long, or it might be message text.
        if len(self._buffer) >= MAX_LINE and self._body is None and not self._ends:
            self._bound_first_line()

    def take(self, most: int = BODY_PIECE) -> Lines | Body | None:
        """The next input at hand, or None while there is not enough.

        :param most: the size of a piece, in octets as sent; it may be another one each time.

        Lines: all complete ones, at most MAX_LINES, without their ends; None for one over MAX_LINE octets, end
        included. They are held until `resume` tells how many were consumed, and until then `take` gives them again.
        Body: the next piece as in `wire.messages.Body`, and it is handed on for good. Pieces are cut at `most`
        octets, or up to four before; a message (with its end) smaller than that is one piece.
        """
        if not self._buffer:
            return None
        if self._body is None:
            return self._take_lines()
        piece = self._body.take(self._buffer, most)
        if piece is not None and piece.last:
            self._body = None
        return piece

    def resume(self, consumed: int, then: ReadLines | ReadBody) -> bool:
        """Go on after a step; tells whether there are octets that `take` may make something of.

        :param consumed: how many of the lines that `take` gave last were used. Octets after them are read anew.
        :param then: what to read. The `limit` of a ReadBody is in octets of content as sent: line ends count as they
            came (CRLF is two), dots that were stuffed and the end of data do not count. A message is too big when its
            content is over the limit. A ReadBody in the middle of a message can lower the limit for its rest, and
            cannot raise it: how a message was cut does not change how large it may be.
        """
        if consumed:
            end = self._ends[consumed - 1]
            del self._buffer[:end]
            self._dropped = False
        self._ends = []
        self._searched = 0
        more = bool(self._buffer)
        if isinstance(then, ReadLines):
            self._body = None
            if len(self._buffer) >= MAX_LINE:
                self._bound_first_line()
        elif self._body is not None:
            self._body.lower(then.limit)
        else:
            self._body = _BodyReader(then.limit, lf=self._eol == _LF)
            self._buffer[:0] = _CRLF
        return more

    def _take_lines(self) -> Lines | None:
        buffer = self._buffer
        lines: list[bytes | None] = []
        ends: list[int] = []
        start, searched = 0, self._searched
        while len(lines) < MAX_LINES and (end := buffer.find(_LF, searched) + 1):
            if not self._eol:
                self._eol = _CRLF if buffer[end - 2 : end] == _CRLF else _LF
            if end - start > MAX_LINE or (self._dropped and not lines):
                lines.append(None)
            else:
                lines.append(bytes(buffer[start : end - 1]).removesuffix(b"\r"))
            ends.append(end)
            start = searched = end
        self._ends = ends
        if not lines:
            self._searched = len(buffer)
            return None
        self._searched = 0
        return Lines(tuple(lines))

    def _bound_first_line(self) -> None:
        """Of a buffer of MAX_LINE octets: drop a first line without an end, but its last octet: that may be a CR."""
        buffer = self._buffer
        if buffer.find(_LF, self._searched) < 0:
            self._dropped = True
            del buffer[:-1]
            self._searched = 1


class _BodyReader:
    """A message that is being read, from a buffer that begins with the line end before it, a CRLF in any session.

    The end of data and a stuffed dot both begin with a line end, so the buffer is only ever cut where neither can
    straddle the cut: `_loose_end` octets stay behind.
    """

    __slots__ = ("_bare", "_first", "_left", "_lf", "_offset", "_searched", "_too_big")

    def __init__(self, limit: int, *, lf: bool) -> None:
        """:param lf: the session's lines end in LF."""
        self._lf = lf
        self._left = limit
        self._offset = 0
        self._searched = 0
        # The line end before the message is in the buffer and is not content.
        self._first = True
        self._bare = False
        self._too_big = False

    def lower(self, limit: int) -> None:
        self._left = min(self._left, limit)

    def take(self, buffer: bytearray, most: int) -> Body | None:
        """Take the next piece out of the buffer, or pieces while they are only dropped."""
        while True:
            begin = max(0, self._searched - len(_END_OF_DATA) + 1)
            # The first line end of the end of data is the last line's, and content.
            if self._lf:
                match = _END_IN_LF.search(buffer, begin, most)
                text, end = (match.start() + len(_LF), match.end()) if match else (0, 0)
            else:
                found = buffer.find(_END_OF_DATA, begin, most)
                text, end = (found + len(_CRLF), found + len(_END_OF_DATA)) if found >= 0 else (0, 0)
            if end:
                data = self._decode(_beginning(buffer, text))
                del buffer[:end]
                return self._piece(data, last=True)
            if len(buffer) < most:
                self._searched = len(buffer)
                return None
            cut = most - _loose_end(buffer[most - len(_END_OF_DATA) : most], lf=self._lf)
            data = self._decode(_beginning(buffer, cut))
            del buffer[:cut]
            self._searched = 0
            if not self._too_big:
                return self._piece(data, last=False)

    def _decode(self, raw: bytes) -> bytes:
        """Octets as sent to content: dots unstuffed, LF line ends, counted against the limit."""
        content = raw.replace(b"\n.", _LF) if self._lf else raw.replace(b"\r\n.", _CRLF)
        if self._first:
            content = content[len(_CRLF) :]
            self._first = False
        self._left -= len(content)
        self._too_big = self._too_big or self._left < 0
        if self._too_big:
            return b""
        if self._lf:
            text = content.replace(_CRLF, _LF)
            self._bare = self._bare or _CR in text
            return text
        # Where every CR and every LF is of a CRLF, the text is what is left without the CRs. Deleting an octet takes
        # a third of the time of replacing a pair, and what it took away counts them in half of `count`'s.
        text = content.replace(_CR, b"")
        returns, feeds = len(content) - len(text), len(text) - len(text.replace(_LF, b""))
        if returns == feeds == content.count(_CRLF):
            return text
        self._bare = True
        return content.replace(_CRLF, _LF)

    def _piece(self, data: bytes, *, last: bool) -> Body:
        piece = Body(data, self._offset, last, too_big=self._too_big, bare=self._bare)
        self._offset += len(data)
        return piece


def _beginning(buffer: bytearray, size: int) -> bytes:
    """A copy, made once: a slice of the buffer would be one as well."""
    with memoryview(buffer) as view:
        return bytes(view[:size])


def _loose_end(tail: bytes | bytearray, *, lf: bool) -> int:
    """How many octets at the end of `tail` could be the beginning of an end of data."""
    for size in range(len(_END_OF_DATA) - 1, 0, -1):
        if tail.endswith(_END_OF_DATA[:size]):
            return size
    # The LF before may be that of a line without a CR.
    return (2 if tail.endswith(b"\n.") else int(tail.endswith(_LF))) if lf else 0
