"""The length of a message that comes in pieces is known with its last one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import whole
from mailbox_store.mailboxes import rendering as lengths_module
from mailbox_store.mailboxes.rendering import Lengths

# What is quoted, cut in every place.
PARTS = [b"From ", b">From ", b"Fr", b"om ", b">", b"\n", b"x", b"x: y\n", b"\0\r"]
LINES = st.lists(st.sampled_from(PARTS), max_size=9)


@given(pieces=st.lists(LINES.map(b"".join), max_size=6), data=LINES.map(b"".join), repeated=st.integers(0, 5))
def test_it_is_that_of_the_text_wherever_that_is_cut_and_whatever_is_asked_twice(
    pieces: list[bytes], data: bytes, repeated: int
) -> None:
    counted, offset = Lengths(), 0
    for number, piece in enumerate(pieces):
        counted.add("s.1", offset, piece)
        if number == repeated and piece:
            counted.add("s.1", offset, piece)
        offset += len(piece)
    if pieces:
        for _ in range(2):
            assert counted.whole("s.1", offset, data) == len(whole(b"".join([*pieces, data])))


def test_what_has_not_come_from_its_beginning_on_is_not_known() -> None:
    counted = Lengths()
    counted.add("late", 5, b"text")
    counted.add("gap", 0, b"text")
    counted.add("gap", 9, b"text")
    assert counted.whole("late", 9, b"") is None
    assert counted.whole("gap", 13, b"") is None
    assert counted.whole("gap", 4, b"") == len(whole(b"text"))
    assert counted.whole("never", 0, b"") is None
    counted.drop("gap")
    assert counted.whole("gap", 4, b"") is None


def test_it_is_known_of_so_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths_module, "_MOST", 3)
    counted = Lengths()
    for number in range(5):
        counted.add(f"s.{number}", 0, b"x")
    assert [counted.whole(f"s.{number}", 1, b"") is None for number in range(5)] == [True, True, False, False, False]
