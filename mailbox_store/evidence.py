"""Is an entry in its mailbox already? What recovery must know before it writes anything.

The journal holds where each entry goes, so the answer is mostly one comparison at that place. It says:

* WHOLE: every octet of the entry is there.
* TORN: what is there was written by the store and was cut short: the file ends inside the entry, or, after a loss of
  power, some of its octets are zero because the file's size reached the disk before its content.
* ELSEWHERE: a user has edited the mailbox since, and the entry is in it at another place.
* ABSENT: it is not in the mailbox; nothing of it is at its place.

Pure but for reading through a `files.Handle`; memory is bounded by `_PIECE` and the pieces of the rendering.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from mailbox_store.files import Handle
from mailbox_store.journal import Entry

_PIECE = 256 * 1024
# How much of the end of a message must be found after its trace for it to count as there.
_TAIL = 256
# Room for the header lines that a mail reader adds (Status, X-Status, Content-Length, ...) to an entry.
_ADDED = 64 * 1024


class Evidence(enum.Enum):
    """See the module's text."""

    WHOLE = enum.auto()
    TORN = enum.auto()
    ELSEWHERE = enum.auto()
    ABSENT = enum.auto()


def examine(handle: Handle, entry: Entry, pieces: Iterable[bytes], mark: bytes, *, power_lost: bool) -> Evidence:
    """Look for an entry.

    :param handle: the mailbox, locked.
    :param pieces: the entry's octets, rendered.
    :param mark: the line of the trace that holds the delivery id; empty if there is none to look for.
    :param power_lost: the machine has been restarted since the entry was written, if it was.
    """
    size = handle.size()
    if size == entry.start:
        return Evidence.ABSENT
    place = entry.start
    short = hollow = edited = False
    tail = b""
    for piece in pieces:
        tail = (tail + piece)[-_TAIL:]
        if edited:
            continue
        there = handle.read(place, len(piece))
        place += len(piece)
        expected = piece[: len(there)]
        short = short or len(there) < len(piece)
        if there != expected:
            hollow = power_lost and _is_hollow(there, expected)
            edited = not hollow
    if edited or size < entry.start:
        return Evidence.ELSEWHERE if mark and _find_entry(handle, entry, mark, tail) else Evidence.ABSENT
    return Evidence.TORN if short or hollow else Evidence.WHOLE


def _is_hollow(there: bytes, expected: bytes) -> bool:
    """Does it differ only by zeros?"""
    return not any(there) or all(a == b or a == 0 for a, b in zip(there, expected, strict=True))


def _find_entry(handle: Handle, entry: Entry, mark: bytes, tail: bytes) -> bool:
    """Is the mark in the file, as a whole line, and the end of the message behind it?

    The end is asked for because an entry may have been cut short before the user wrote behind it. Its last paragraph
    does, for mail readers add lines to the header.
    """
    ending = tail.rstrip(b"\n").rpartition(b"\n\n")[2]
    at = _find(handle, mark, 0, handle.size())
    while at >= 0:
        behind = at + len(mark)
        if _find(handle, ending, behind, behind + entry.length + _ADDED) >= 0:
            return True
        at = _find(handle, mark, behind, handle.size())
    return False


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
