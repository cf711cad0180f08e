"""Octets into an open mailbox: at its end, or over a part of an entry that is there. Piece by piece, so that the
caller can do something else in between.

Fails: with OSError, and with whatever error the pieces give while they are made.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import NoReturn

from mail.mbox import newlines_before
from mailbox_store.mailboxes.files import Handle

# Pieces are written together, about so many octets at a time.
_TOGETHER = 128 * 1024
_PAGE = 4096

REPLACED = "another program has replaced it"


def end_of(handle: Handle) -> tuple[int, int]:
    """The size of a mailbox, and how many newlines an entry there begins with."""
    size = handle.size()
    return size, newlines_before(handle.read(max(0, size - 2), 2))


def together(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets in fewer pieces; one that is large already is not copied."""
    waiting: list[bytes] = []
    octets = 0
    for piece in pieces:
        if octets and octets + len(piece) > _TOGETHER:
            yield b"".join(waiting)
            waiting, octets = [], 0
        waiting.append(piece)
        octets += len(piece)
    # Joining one octet string gives it as it is.
    yield b"".join(waiting)


def append(handle: Handle, start: int, pieces: Iterable[bytes]) -> Iterator[int]:
    """Write at the end of a mailbox, which is at `start`, or, failing that, nothing; gives the octets of each piece.

    A file that has been replaced meanwhile gets nothing: what replaced it will. Where a part cannot be taken back, or
    another program has written behind it, it stays there.
    """
    written = 0
    try:
        for piece in pieces:
            if written:
                _check(handle, start + written)
            rest = memoryview(piece)
            while rest:
                count = handle.append(rest) or _fail()
                written += count
                rest = rest[count:]
            yield len(piece)
        if not handle.stands():
            _replaced()
    except BaseException:
        # Only if nobody has written behind it: no octet of another's is ever cut.
        if written and handle.size() == start + written:
            handle.truncate(start)
        raise


def overwrite(handle: Handle, place: int, pieces: Iterable[bytes]) -> Iterator[int]:
    """Write at a place, over a part of the same octets; gives the octets of each piece."""
    for piece in pieces:
        # Programs that heed no lock may have changed the file since it was looked at.
        there = handle.read(place, len(piece))
        if there != piece and not is_part(there, piece, holes=True):
            raise OSError("another program has written to it meanwhile")
        rest = memoryview(piece)
        while rest:
            count = handle.write_at(place, rest) or _fail()
            place += count
            rest = rest[count:]
        yield len(piece)


def is_part(there: bytes, whole: bytes, *, holes: bool) -> bool:
    """Is what is there what a write of `whole` may have left when it was cut short?

    :param holes: whether octets of it may be zero: what did not reach the disk.
    """
    if whole.startswith(there):
        return True
    return holes and all(
        _is_hollow(there[at : at + _PAGE], whole[at : at + _PAGE]) for at in range(0, len(there), _PAGE)
    )


def _is_hollow(there: bytes, whole: bytes) -> bool:
    # Mostly a page is all there, or all zero: the rest would take a second for each 16 MiB.
    if not any(there) or whole.startswith(there):
        return True
    return all(a in (b, 0) for a, b in zip(there, whole, strict=False))


def _check(handle: Handle, end: int) -> None:
    """Between two pieces others had their turn: is it still the mailbox, and locked, and does it end where it did?"""
    if not handle.stands():
        _replaced()
    if not handle.lock() or handle.size() != end:
        raise OSError("another program has written to it meanwhile")


def _replaced() -> NoReturn:
    raise OSError(REPLACED)


def _fail() -> NoReturn:
    raise OSError(errno.EIO, "nothing could be written")
