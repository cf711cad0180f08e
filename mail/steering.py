"""Header fields in which a reader of mbox files keeps its notes, and which a sender must not set.

A reader notes in the header where the message ends, whether it was read or is deleted, its number, its labels. If a
sender could set these fields, they could hide the next mail, or show new mail as deleted. And the lines that the
store writes above a message must not come a second time. So such a field of the message gets another name in the
mailbox, with `X-Sender-` before its own, and nothing of it is lost. A field that already has such a name gets one
more `X-Sender-`, as mboxrd does with its >: taking one away gives back what came.

Gives: `Renamer`, for a message that comes in pieces; `PLAIN_BEGINNING` and `steers`, by which most are spared it.
Fails: never.
Limits: it holds back `_LONGEST` octets at most. Time is linear in the header, and behind it nothing is done.
"""

from __future__ import annotations

import re

# mutt, s-nail, Pine, Dovecot and UW IMAP (mbox-sync-parse.c, unix.c) obey the first ones: Content-Length says where a
# message ends, and Lines is written with it. X-UIDL is the mark of POP servers, X-Label mutt's, X-Account-Key
# Thunderbird's. The last three are what the store writes itself (mbox.py).
_NAMES = (
    "Content-Length",
    "Lines",
    "Status",
    "X-Status",
    "X-Keywords",
    "X-Label",
    "X-UID",
    "X-UIDL",
    "X-IMAP",
    "X-IMAPbase",
    "X-Account-Key",
    "Return-Path",
    "Delivered-To",
    "X-Original-To",
)
# Families of Thunderbird (which takes the path of a detached attachment from one), Evolution, Emacs' VM and Rmail.
_BEGINNINGS = ("X-Mozilla-", "X-Evolution", "X-VM-", "X-RMAIL-")
_PREFIX = "X-Sender-"

_LOWER = tuple(name.lower().encode() for name in (*_NAMES, *_BEGINNINGS, _PREFIX))
_LONGEST = max(map(len, _LOWER))
# A name ends at its colon; readers differ about blanks before it (RFC 5322 section 4.5 allows them).
# Those with an X- are told apart behind it: this is looked for in every line of every header.
_PLAIN = "|".join(name for name in _NAMES if not name.startswith("X-"))
_EXTENDED = "|".join(name.removeprefix("X-") for name in _NAMES if name.startswith("X-"))
_FAMILIES = "|".join(name.removeprefix("X-") for name in _BEGINNINGS)
_STEERING = rf"(?:(?:{_PLAIN})(?=[ \t:])|X-(?:(?:{_EXTENDED})(?=[ \t:])|{_FAMILIES}))"
# The beginning of a message that has nothing to rename there: its first field, or the end of an empty header.
PLAIN_BEGINNING = re.compile(rf"\n|(?!(?:{_PREFIX})*+{_STEERING})[!-9;-~]+[ \t]*:".encode(), re.IGNORECASE)
# Python's email package, and what is built upon it, begins a line behind a lone CR too.
_IN_LINES = re.compile(rf"([\r\n](?:{_PREFIX})*+)(?={_STEERING})".encode(), re.IGNORECASE)
_AT_START = re.compile(rf"\A((?:{_PREFIX})*+)(?={_STEERING})".encode(), re.IGNORECASE)
# What may still become a name when more text comes.
_NAME = re.compile(rf"(?:{_PREFIX})*+([A-Z-]{{0,{_LONGEST}}})\Z".encode(), re.IGNORECASE)
_RENAMED = rb"\1" + _PREFIX.encode()
_END_OF_HEADER = re.compile(rb"\n\r?\n")


def steers(message: bytes) -> bool:
    """Whether a message has such a field behind its first line; perhaps yes where it has none."""
    end = message.find(b"\n\n")
    return _IN_LINES.search(message, 0, end if end >= 0 else len(message)) is not None


class Renamer:
    """Renames the fields of one message, which begins with one, across the borders of pieces.

    The prefix may stand anywhere among those that lead the name, so it goes right before the name, and what is held
    back is never more than the beginning of one.
    """

    def __init__(self) -> None:
        self._held = b""
        # Only prefixes have come since the line began.
        self._leading = True
        # The last octets before those held back: the end of the header may have begun with them.
        self._before = b""
        self._over = False

    def feed(self, piece: bytes) -> bytes:
        """The piece with its fields renamed, or less of it."""
        if self._over:
            return piece
        joined = self._held + piece
        end = _END_OF_HEADER.search(self._before + joined)
        if end is not None:
            self._over, self._held = True, b""
            place = end.end() - len(self._before)
            return self._renamed(joined[:place]) + joined[place:]
        begin = max(joined.rfind(b"\n"), joined.rfind(b"\r")) + 1
        name = _NAME.match(joined, begin) if begin or self._leading else None
        unfinished = name is not None and any(known.startswith(name[1].lower()) for known in _LOWER)
        place = name.start(1) if name is not None and unfinished else len(joined)
        renamed = self._renamed(joined[:place])
        self._before, self._held = (self._before + joined[:place])[-2:], joined[place:]
        self._leading = unfinished
        return renamed

    def finish(self) -> bytes:
        """What was held back."""
        return self._renamed(self._held)

    def _renamed(self, text: bytes) -> bytes:
        if self._leading:
            text = _AT_START.sub(_RENAMED, text)
        return _IN_LINES.sub(_RENAMED, text)
