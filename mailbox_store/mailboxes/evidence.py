"""Is an entry in its mailbox already? What must be known before an entry in doubt is written.

The journal holds where each entry goes, so the answer is mostly one comparison at that place (`compare`). It says:

* WHOLE: every octet of the entry is there.
* TORN: what is there was written by the store and was cut short: the file ends inside the entry, or, after a loss of
  power, some of its octets are zero because the file's size reached the disk before its content.
* ELSEWHERE: a user has edited the mailbox since, and the entry is in it at another place.
* ABSENT: it is not in the mailbox; nothing of it is at its place.

An entry's mark is the line of the trace that names the delivery. An edited mailbox has the entry if the mark is a
whole line of some header in it, and after that come the entry's last header line and then all of the message's text
(`follows`): mail readers add lines to the header, and change nothing after it. One pass looks for all marks
(`search`). A header begins with a line `From ` after an empty one, so a mark that a mail quotes or has attached does
not count. What follows a mark is looked at once for each header, however often the mark is repeated there. So time is
linear in the file's size, whatever it holds.

Pure but for reading through a `files.Handle`, in pieces: each yields the octets that were read. Memory is bounded by
the marks, some 256 KiB of the file, and the pieces of the rendering.
Limits: an entry whose text its user has edited counts as absent, and is appended: a mail twice is better than none.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain

from mailbox_store.mailboxes.files import Handle
from mailbox_store.mailboxes.writing import is_part

# How much of the header's last line must be found.
_LINE = 1024
# Room for the header lines that a mail reader adds (Status, X-Status, Content-Length, ...) to an entry.
_ADDED = 64 * 1024
_WINDOW = 256 * 1024
# An empty line, and what a header begins with.
_EMPTY = b"\n\n"
_FROM = b"From "

# Whether it is the entry's mark whose newline is at the place.
Follows = Callable[[bytes, int], Generator[int, None, bool]]


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
    while place < end and (piece := handle.read(place, min(_WINDOW, end - place))):
        window = kept + piece
        if (at := window.find(needle)) >= 0:
            return place - len(kept) + at
        place += len(piece)
        kept = window[max(0, len(window) - len(needle) + 1) :]
    return -1


def search(handle: Handle, start: int, marks: Iterable[bytes], follows: Follows) -> Generator[int, None, set[bytes]]:
    """Which marks' entries does the file have behind `start`?

    :param handle: the mailbox, locked.
    :param marks: each ends with its newline.
    """
    left, found = set(marks), set[bytes]()
    longest = max(map(len, left), default=0)
    begin = b"\n" + _beginning(left)
    # The window: a file begins as if there were an empty line before it.
    octets = b"" if start else _EMPTY
    base = start - len(octets)
    # Up to where marks, and up to where empty lines were looked for.
    scanned = looked = base
    # The paragraph that this is in, and whether it is a header; in the middle of a file it may be one.
    paragraph, is_header = -1, True
    tried: dict[bytes, int] = {}
    while left and (more := handle.read(base + len(octets), _WINDOW)):
        octets += more
        yield len(more)
        while (at := octets.find(begin, scanned - base)) >= 0:
            end = octets.find(b"\n", at + 1, at + 1 + longest)
            if end < 0 and len(octets) < at + 1 + longest:
                break
            scanned = base + at + 1
            mark = octets[at + 1 : end + 1]
            if mark not in left:
                continue
            if (empty := octets.rfind(_EMPTY, looked - base, at + 1)) >= 0:
                paragraph, is_header = base + empty, octets.startswith(_FROM, empty + len(_EMPTY))
            looked = base + at
            if is_header and tried.get(mark) != paragraph:
                tried[mark] = paragraph
                if (yield from follows(mark, base + end)):
                    found.add(mark)
                    left.discard(mark)
        else:
            scanned = max(scanned, base + len(octets) - len(begin) + 1)
        # Of an empty line at the window's end it is not known yet what stands behind it.
        known = len(octets) - len(_FROM)
        if (empty := octets.rfind(_EMPTY, looked - base, max(0, known))) >= 0:
            paragraph, is_header = base + empty, octets.startswith(_FROM, empty + len(_EMPTY))
        looked = max(looked, base + known - 1)
        kept = min(scanned, looked) - base
        octets, base = octets[kept:], base + kept
    return found


def _beginning(marks: set[bytes]) -> bytes:
    """What all of them begin with."""
    if not marks:
        return b""
    first, last = min(marks), max(marks)
    same = (index for index, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(same, len(first))]
