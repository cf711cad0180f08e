"""Mailbox files: mboxrd (RFC 4155 appendix A has the family), written and read.

How a delivery looks, a rendering that a repeat gives again octet for octet:

    From sender@domain Mon Nov 23 07:05:55 2026
    Return-Path: <sender@domain>
    Delivered-To: mailbox
    X-Original-To: address              (one for each recipient of this mailbox that has another address)
    Received: ...                       (the trace, as the worker made it)
    ...the message, every line that matches ^>*From quoted with one more >...
    (one empty line)

Header fields of the message by which a reader would be steered get another name (see `steering.py`).
A message whose first line is not a header field gets an empty line between the trace and its text. One that does not
end with a newline gets one. Nothing else of it is changed: NUL, CR and 8-bit octets stay.

Gives: `head` and `text`, the two parts of an entry, the second in pieces so that no large message need be held whole
(`Text` makes it as the pieces come); `entries`, the messages of a file, one after another.
Fails: never. Of a file that somebody has edited, whatever stands before the first `From ` line is an entry too, and
a missing empty line between two messages is no matter.
Limits: a piece comes out at most a few octets longer than it went in, plus one for each quoted line. Read is one
message at a time.
"""

from __future__ import annotations

import re
import time as clock
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from .steering import PLAIN_BEGINNING, Renamer, steers

# RFC 5322 section 2.2: field-name = 1*ftext, ftext = %d33-57 / %d59-126; obs-optional allows blanks before the colon.
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
# RFC 5322 section 2.1.1: a line has at most 998 octets, so a field's name ends before that.
_FIELD_REACH = 998
_FROM_IN_TEXT = re.compile(rb"\n(>*)From ")
_FROM_AT_START = re.compile(rb"(>*)From ")
_QUOTED_FROM = re.compile(rb"\n>(?=>*From )")
# What may still become a From_ line when more text comes.
_UNFINISHED = re.compile(rb">*(F(?:r(?:om?)?)?)?")


def head(time: int, sender: str, mailbox: str, trace: bytes, originals: Iterable[str] = ()) -> bytes:
    """The entry's first lines.

    :param time: when the message ended, ms since the epoch.
    :param sender: the reverse-path, "" for the null one. Blanks in it (of a quoted local part) are written %20 in the
        From_ line, whose fields end at blanks, and as they are in Return-Path.
    :param trace: the Received: header with its LF.
    :param originals: the recipients of this mailbox whose address is another than the mailbox's.
    """
    envelope = sender.replace(" ", "%20")
    date = _date(time // 1000)
    lines = f"From {envelope or 'MAILER-DAEMON'} {date}\nReturn-Path: <{sender}>\nDelivered-To: {mailbox}\n"
    for each in originals:
        lines += f"X-Original-To: {each}\n"
    return lines.encode() + trace


# A batch is of one second or two.
@lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    return clock.asctime(clock.gmtime(seconds))


class Text:
    """The message as it stands in the mailbox, made as its pieces come: what `feed` and then `finish` give, joined.

    Feed it the message with LF line ends, cut anywhere.
    """

    def __init__(self) -> None:
        self._quoter = _Quoter()
        self._renamer: Renamer | None = None
        # The message's beginning, until it is known whether that is a header field; None from then on.
        self._start: bytes | None = b""

    def feed(self, piece: bytes) -> bytes:
        """A piece as it stands in the mailbox, or less of it: some octets may be held back."""
        if self._start is None:
            return self._quoter.feed(self._renamer.feed(piece) if self._renamer else piece)
        self._start += piece
        if b"\n" in self._start or len(self._start) >= _FIELD_REACH:
            return self._begin(self._start)
        return b""

    def finish(self) -> bytes:
        """What was held back, the newline that the text lacks, and the empty line after it."""
        begun = b"" if self._start is None else self._begin(self._start)
        held = self._quoter.feed(self._renamer.finish()) if self._renamer else b""
        return begun + held + self._quoter.finish()

    def _begin(self, start: bytes) -> bytes:
        self._start = None
        before = _line_before(start)
        if not before and not start.startswith(b"\n"):
            self._renamer = Renamer()
            start = self._renamer.feed(start)
        return before + self._quoter.feed(start)


def text(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The message as it stands in the mailbox, with the empty line after it.

    :param pieces: the message with LF line ends, cut anywhere.
    """
    made = Text()
    for piece in pieces:
        yield made.feed(piece)
    yield made.finish()


def _line_before(start: bytes) -> bytes:
    """The empty line between the trace and a message that does not begin with a header field."""
    return b"" if not start or start.startswith(b"\n") or _FIELD.match(start) else b"\n"


def whole(message: bytes) -> bytes:
    """The same of a message that is held whole. Most have nothing to quote or to rename: then none is taken apart."""
    if b"From " in message or not PLAIN_BEGINNING.match(message) or steers(message):
        return b"".join(text([message]))
    return message + (b"\n" if message[-1:] == b"\n" else b"\n\n")


def newlines_before(tail: bytes) -> int:
    """How many newlines make an empty line of the end of a file, so that an entry can begin there.

    :param tail: the last two octets of the file, or all of it where it has fewer.
    """
    if tail in (b"", b"\n", b"\n\n"):
        return 0
    return 1 if tail.endswith(b"\n") else 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a mailbox file: its `From ` line (empty if it has none), and its octets, quoting undone."""

    from_line: bytes
    content: bytes


def messages(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What stands in a mailbox from each `From ` line to the next, octet by octet.

    :param pieces: of the mailbox, cut anywhere.
    """
    held = bytearray()
    searched = 0
    for piece in pieces:
        held += piece
        while (end := held.find(b"\nFrom ", searched)) >= 0:
            yield bytes(held[: end + 1])
            del held[: end + 1]
            searched = 0
        searched = max(0, len(held) - len(b"\nFrom"))
    if held:
        yield bytes(held)


def entries(pieces: Iterable[bytes]) -> Iterator[Entry]:
    """The messages of a mailbox.

    :param pieces: of the mailbox, cut anywhere.
    """
    for message in messages(pieces):
        if found := entry(message):
            yield found


def entry(message: bytes) -> Entry | None:
    """One of the `messages`; None where there is nothing but empty lines."""
    from_line, content = b"", message
    if message.startswith(b"From "):
        from_line, _, content = message.partition(b"\n")
        from_line = from_line.rstrip(b"\r")
    # The empty line after a message belongs to the mailbox.
    if empty := re.search(rb"(?:\A|(?<=\n))\r?\n\Z", content[-3:]):
        content = content[: len(content) - len(empty[0])]
    if not from_line and not content.strip():
        return None
    # The line end that the expression begins with makes it ten times as fast; the first line has none before it.
    return Entry(from_line, _QUOTED_FROM.sub(b"\n", b"\n" + content)[1:])


class _Quoter:
    """Adds the > of mboxrd across the borders of pieces.

    The > may stand anywhere among those that lead the line, so it goes right before `From `, and a line of nothing
    but > need not be held back: at most the four octets of `From` are.
    """

    def __init__(self) -> None:
        self._held = b""
        # Only > has come since the line began.
        self._leading = True
        self._ends_line = False

    def feed(self, piece: bytes) -> bytes:
        if not piece:
            return b""
        joined = self._held + piece
        if self._leading and (match := _FROM_AT_START.match(joined)):
            joined = joined[: match.end(1)] + b">" + joined[match.end(1) :]
        if b"From " in joined:
            joined = _FROM_IN_TEXT.sub(rb"\n\1>From ", joined)
        self._ends_line = joined.endswith(b"\n")
        begin = joined.rfind(b"\n") + 1
        unfinished = _UNFINISHED.fullmatch(joined, begin) if begin or self._leading else None
        self._leading = unfinished is not None
        self._held = (unfinished[1] or b"") if unfinished else b""
        return joined[: len(joined) - len(self._held)]

    def finish(self) -> bytes:
        return self._held + (b"\n" if self._ends_line else b"\n\n")
