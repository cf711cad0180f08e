"""Is an entry in its mailbox already? What recovery must know before it writes anything.

The journal holds where each entry goes, so the answer is mostly one comparison at that place. It says:

* WHOLE: every octet of the entry is there.
* TORN: what is there was written by the store and was cut short: the file ends inside the entry, or, after a loss of
  power, some of its octets are zero because the file's size reached the disk before its content.
* ELSEWHERE: a user has edited the mailbox since, and the entry is in it at another place.
* ABSENT: it is not in the mailbox; nothing of it is at its place.

An edited mailbox has the entry if the mark stands in it as a whole line, the header's last line behind that, and then
all of the message's text: mail readers add lines to the header, and change nothing behind it.

Pure but for reading through a `files.Handle`; memory is bounded by `_PIECE` and the pieces of the rendering.
Limits: an entry whose text its user has edited counts as absent, and is appended: a mail twice is better than none.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from mailbox_store.files import Handle
from mailbox_store.journal import Entry

_PIECE = 256 * 1024
# How far before its place an entry is looked for where the file ends at that place.
_NEAR = 256 * 1024
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


def examine(
    handle: Handle, entry: Entry, pieces: Callable[[], Iterable[bytes]], mark: bytes, *, power_lost: bool
) -> Evidence:
    """Look for an entry.

    :param handle: the mailbox, locked.
    :param pieces: gives the entry's octets, rendered.
    :param mark: the line of the trace that holds the delivery id; empty if there is none to look for.
    :param power_lost: what was written may have been lost again: the machine was restarted, or a sync failed.
    """
    size = handle.size()
    if size == entry.start:
        # Never written, as a rule. But its user may have removed as many octets before it.
        near = max(0, size - entry.length - _NEAR)
        return Evidence.ELSEWHERE if _find_entry(handle, entry, mark, pieces, near) else Evidence.ABSENT
    place = entry.start
    short = hollow = edited = False
    for piece in pieces():
        there = handle.read(place, len(piece))
        place += len(piece)
        expected = piece[: len(there)]
        short = short or len(there) < len(piece)
        if there != expected:
            hollow = power_lost and _is_hollow(there, expected)
            edited = not hollow
        if edited:
            break
    if edited or size < entry.start:
        return Evidence.ELSEWHERE if _find_entry(handle, entry, mark, pieces, 0) else Evidence.ABSENT
    return Evidence.TORN if short or hollow else Evidence.WHOLE


def _is_hollow(there: bytes, expected: bytes) -> bool:
    """Does it differ only by zeros?"""
    return not any(there) or all(a == b or a == 0 for a, b in zip(there, expected, strict=True))


def _find_entry(handle: Handle, entry: Entry, mark: bytes, pieces: Callable[[], Iterable[bytes]], start: int) -> bool:
    """Is the entry in the file, at whatever place behind `start`?"""
    at = _find(handle, mark, start, handle.size()) if mark else -1
    while at >= 0:
        # The mark's own newline may be the first of the two that end the header.
        if _follows(handle, at + len(mark) - 1, entry.length, mark, pieces()):
            return True
        at = _find(handle, mark, at + len(mark), handle.size())
    return False


def _follows(handle: Handle, place: int, length: int, mark: bytes, pieces: Iterable[bytes]) -> bool:
    """Do the header's last line and the message's text stand behind the mark's line, whose newline is at `place`?

    The text's last newlines are not asked for: what stands behind an entry is its user's.
    """
    header_end = _find(handle, b"\n\n", place, place + length + _ADDED)
    if header_end < 0:
        return False
    line, text = _behind(mark, pieces)
    if line and _find(handle, line, place, header_end + 1) < 0:
        return False
    place = header_end + 2
    for piece in text:
        if handle.read(place, len(piece)) != piece:
            return False
        place += len(piece)
    return True


def _behind(mark: bytes, pieces: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The last line of an entry's header behind the mark, and the text after the header without its last newlines."""
    rest = iter(pieces)
    window, marked, end = b"", False, -1
    for piece in rest:
        window += piece
        if not marked and (at := window.find(mark)) >= 0:
            window, marked = window[at + len(mark) - 1 :], True
        if (end := window.find(b"\n\n") if marked else -1) >= 0:
            break
        window = window[-max(_LINE, len(mark)) :]
    if end < 0:
        return window, iter(())
    line = window[:end].rpartition(b"\n")[2]
    return line, _without_last_newlines(chain([window[end + 2 :]], rest))


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
