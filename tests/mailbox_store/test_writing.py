"""How octets get into a mailbox that is open."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_store import writing
from tests.mailbox_store.fakes import MemoryFiles

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
        writing.append(files.open(BOX), 3, [b"1234", b"5678"])
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
        writing.append(files.open(BOX), 3, pieces())
    assert files.content[BOX] == left


def test_what_is_there_is_written_over_at_its_place() -> None:
    files = MemoryFiles({BOX: b"old torn...."})
    writing.overwrite(files.open(BOX), 4, [b"who", b"le entry"])
    assert files.content[BOX] == b"old whole entry"
    assert writing.end_of(files.open(BOX)) == (15, 2)
