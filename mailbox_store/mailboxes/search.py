"""One pass over a mailbox for all the entries that are looked for in it, by their marks.

A mark is a line of the trace that names its delivery. It counts as a whole line of a header, which begins with a
`From ` line behind an empty one: what a mail quotes, or has attached, is not meant. What stands behind it decides
(`evidence.follows`), once for each header, however often the mark is repeated in it: so time is linear in the file's
size, whatever it holds.

Pure but for reading through a `files.Handle`, in portions: each yields the octets that were read.
Limits: the marks and some 256 KiB of the file are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from mailbox_store.mailboxes.files import Handle

_WINDOW = 256 * 1024
# An empty line, and what a header begins with.
_EMPTY = b"\n\n"
_FROM = b"From "

# Whether it is the entry's mark whose newline is at the place.
Follows = Callable[[bytes, int], Generator[int, None, bool]]


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
