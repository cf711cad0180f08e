"""Octets into an open mailbox: at its end, or over a part of an entry that is there.

Fails: with OSError, and with whatever error the pieces give while they are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mailbox_store.files import Handle
from mailbox_store.mbox import newlines_before

# Pieces are written together, about so many octets at a time.
_TOGETHER = 128 * 1024


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


def append(handle: Handle, start: int, pieces: Iterable[bytes]) -> None:
    """Write at the end of a mailbox, which is at `start`, or, failing that, nothing.

    Where a part cannot be taken back, or another program has written behind it, it stays there.
    """
    written = 0
    try:
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                count = handle.append(rest)
                written += count
                rest = rest[count:]
    except BaseException:
        # Only if nobody has written behind it: no octet of another's is ever cut.
        if written and handle.size() == start + written:
            handle.truncate(start)
        raise


def overwrite(handle: Handle, place: int, pieces: Iterable[bytes]) -> None:
    """Write at a place, over what is there."""
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            count = handle.write_at(place, rest)
            place += count
            rest = rest[count:]
