"""Is an entry in its mailbox already? What must be known before an entry in doubt is written.

The journal holds where each entry goes, so the answer is mostly one comparison at that place (`compare`). It says:

* WHOLE: every octet of the entry is there.
* TORN: what is there was written by the store and was cut short: the file ends inside the entry, or, after a loss of
  power, some of its octets are zero because the file's size reached the disk before its content.
* ELSEWHERE: a user has edited the mailbox since, and the entry is in it at another place.
* ABSENT: it is not in the mailbox; nothing of it is at its place.

An edited mailbox has the entry if the mark stands in a header of it as a whole line, the header's last line behind
that, and then all of the message's text (`follows`): mail readers add lines to the header, and change nothing behind.

Pure but for reading through a `files.Handle`, in pieces: each yields the octets that were read. Memory is bounded by
the pieces of the rendering.
Limits: an entry whose text its user has edited counts as absent, and is appended: a mail twice is better than none.
"""

from __future__ import annotations

import enum
from collections.abc import Generator, Iterable, Iterator
from itertools import chain

from mailbox_store.mailboxes.files import Handle
from mailbox_store.mailboxes.writing import is_part

_PIECE = 256 * 1024
# How much of the header's last line must be found.
_LINE = 1024
# Room for the header lines that a mail reader adds (Status, X-Status, Content-Length, ...) to an entry.
_ADDED = 64 * 1024


class Evidence(enum.Enum):
    """See the module's text."""

    WHOLE = enum.auto()
    TORN = enum.auto()
    ELSEWHERE = enum.auto()
    ABSENT = enum.auto()


def compare(
    handle: Handle, place: int, pieces: Iterable[bytes], *, holes: bool
) -> Generator[int, None, Evidence | None]:
    """Look for an entry at its place; None where there is something else.

    :param handle: the mailbox, locked.
    :param pieces: the entry's octets, rendered.
    :param holes: what was written may have been lost again: the machine was restarted, or a sync or a close failed.
    """
    torn = False
    for piece in pieces:
        there = handle.read(place, len(piece))
        yield len(there)
        place += len(piece)
        if there != piece:
            if not is_part(there, piece, holes=holes):
                return None
            torn = True
    return Evidence.TORN if torn else Evidence.WHOLE


def follows(handle: Handle, place: int, mark: bytes, pieces: Iterable[bytes]) -> Generator[int, None, bool]:
    """Do the header's last line and the message's text stand behind the mark's line, whose newline is at `place`?

    The text's last newlines are not asked for: what stands behind an entry is its user's.
    """
    line, length, text = _behind(mark, pieces)
    header_end = _find(handle, b"\n\n", place, place + length + _ADDED)
    yield length + _ADDED
    if header_end < 0 or (line and _find(handle, line, place, header_end + 1) < 0):
        return False
    place = header_end + 2
    for piece in text:
        # Mostly its beginning tells.
        if handle.read(place, min(_LINE, len(piece))) != piece[:_LINE] or handle.read(place, len(piece)) != piece:
            return False
        yield len(piece)
        place += len(piece)
    return True


def _behind(mark: bytes, pieces: Iterable[bytes]) -> tuple[bytes, int, Iterator[bytes]]:
    """What stands behind an entry's mark: the header's last line, all octets of the header, and the text after the
    header without its last newlines."""
    rest = iter(pieces)
    window, marked, end, length = b"", False, -1, 0
    for piece in rest:
        window += piece
        if not marked and (at := window.find(mark)) >= 0:
            window, marked = window[at + len(mark) - 1 :], True
        if (end := window.find(b"\n\n") if marked else -1) >= 0:
            break
        kept = window[-max(_LINE, len(mark)) :]
        length += len(window) - len(kept)
        window = kept
    if end < 0:
        return window, length + len(window), iter(())
    line = window[:end].rpartition(b"\n")[2]
    return line, length + end, _without_last_newlines(chain([window[end + 2 :]], rest))


def _without_last_newlines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    newlines = 0
    for piece in pieces:
        text = piece.rstrip(b"\n")
        if text:
            yield b"\n" * newlines + text
            newlines = 0
        newlines += len(piece) - len(text)


def _find(handle: Handle, needle: bytes, start: int, end: int) -> int:
    """The offset of the first occurrence between start and end, or -1."""
    place, kept = start, b""
    while place < end and (piece := handle.read(place, min(_PIECE, end - place))):
        window = kept + piece
        if (at := window.find(needle)) >= 0:
            return place - len(kept) + at
        place += len(piece)
        kept = window[max(0, len(window) - len(needle) + 1) :]
    return -1
