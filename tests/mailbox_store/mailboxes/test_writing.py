"""How octets get into a mailbox that is open."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_store.mailboxes import writing
from tests.mailbox_store.fakes import MemoryFiles, MemoryHandle

BOX = "a@b.example"
LARGE = writing._TOGETHER


@given(st.lists(st.binary(max_size=9), max_size=40), st.integers(1, 30))
def test_pieces_that_are_put_together_are_the_same_octets_and_no_more_than_they_need_be(
    pieces: list[bytes], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_TOGETHER", most)
        made = list(writing.together(pieces))
    assert b"".join(made) == b"".join(pieces)
    assert all(len(piece) <= max(most, *map(len, pieces), 0) for piece in made)
    assert all(len(one) + len(two) > most for one, two in pairwise(made))


def test_a_large_piece_is_not_copied() -> None:
    large = bytes(LARGE + 1)
    made = list(writing.together([b"a", b"b", large, large, b"c"]))
    assert [len(piece) for piece in made] == [2, LARGE + 1, LARGE + 1, 1]
    assert made[1] is large
    assert made[2] is large


def test_pieces_are_made_as_they_are_written() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(5):
            taken.append(number)
            yield bytes(LARGE // 2)

    made = writing.together(pieces())
    next(made)
    # One piece is looked at before it is known that the two before it are enough.
    assert taken == [0, 1, 2]


def test_what_cannot_be_appended_whole_is_taken_back() -> None:
    files = MemoryFiles({BOX: b"old"})
    files.room = 5
    with pytest.raises(OSError, match="No space"):
        list(writing.append(files.open(BOX), 3, [b"1234", b"5678"]))
    assert files.content[BOX] == b"old"


@pytest.mark.parametrize(("by_another", "left"), [(b"", b"old"), (b"new", b"old1234new")])
def test_an_error_of_the_pieces_leaves_nothing_but_where_another_has_written_behind(
    by_another: bytes, left: bytes
) -> None:
    files = MemoryFiles({BOX: b"old"})

    def pieces() -> Iterator[bytes]:
        yield b"1234"
        files.content[BOX] += by_another
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        list(writing.append(files.open(BOX), 3, pieces()))
    assert files.content[BOX] == left


def test_what_is_there_is_written_over_at_its_place() -> None:
    files = MemoryFiles({BOX: b"old torn"})
    assert list(writing.overwrite(files.open(BOX), 4, [b"tor", b"n no more"])) == [3, 9]
    assert files.content[BOX] == b"old torn no more"
    assert writing.end_of(files.open(BOX)) == (16, 2)


def test_what_another_program_has_written_meanwhile_is_not_written_over() -> None:
    files = MemoryFiles({BOX: b"old to\0\0other words"})
    with pytest.raises(OSError, match="another program"):
        list(writing.overwrite(files.open(BOX), 4, [b"torn", b" no more"]))
    assert files.content[BOX] == b"old tornother words"


@pytest.mark.parametrize("meanwhile", ["written", "cut", "locked"])
def test_between_two_pieces_others_have_their_turn_and_that_is_seen(meanwhile: str) -> None:
    files = MemoryFiles({BOX: b"old"})
    appending = writing.append(files.open(BOX), 3, [b"1234", b"5678"])
    assert next(appending) == 4
    if meanwhile == "written":
        files.content[BOX] += b" by another"
    elif meanwhile == "cut":
        del files.content[BOX][:]
    else:
        files.locked = {BOX}
    with pytest.raises(OSError, match="another program"):
        next(appending)
    # What stands behind it is never cut.
    assert files.content[BOX] == {"written": b"old1234 by another", "cut": b"", "locked": b"old"}[meanwhile]


def test_appending_that_is_given_up_leaves_nothing() -> None:
    files = MemoryFiles({BOX: b"old"})
    appending = writing.append(files.open(BOX), 3, [b"1234", b"5678"])
    next(appending)
    appending.close()
    assert files.content[BOX] == b"old"


def test_a_disk_that_takes_nothing_and_says_so_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryHandle, "append", lambda _self, _data: 0)
    with pytest.raises(OSError, match="nothing could be written"):
        list(writing.append(MemoryFiles({BOX: b""}).open(BOX), 0, [b"1234"]))
    monkeypatch.setattr(MemoryHandle, "write_at", lambda _self, _offset, _data: 0)
    with pytest.raises(OSError, match="nothing could be written"):
        list(writing.overwrite(MemoryFiles({BOX: b""}).open(BOX), 0, [b"1234"]))


def test_what_was_cut_short_is_a_beginning_or_has_holes() -> None:
    whole = bytes(range(1, 200)) * 100
    for there in (b"", whole[:1], whole[:5000], whole):
        assert writing.is_part(there, whole, holes=False)
    for holes in (slice(0, 4096), slice(5000, 5001), slice(100, len(whole))):
        torn = bytearray(whole)
        torn[holes] = bytes(len(torn[holes]))
        assert writing.is_part(bytes(torn), whole, holes=True)
        assert not writing.is_part(bytes(torn), whole, holes=False)
        torn[-1] = 0xFF
        assert not writing.is_part(bytes(torn), whole, holes=True)
