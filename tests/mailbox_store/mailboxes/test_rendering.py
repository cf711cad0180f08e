"""A message's entries are the same octets whether it is held whole or read in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import head, whole
from mailbox_store.journal.journal import HeldEntry, HeldMessage
from mailbox_store.mailboxes import rendering as rendering_module
from mailbox_store.mailboxes.rendering import Lengths, Rendering
from tests.mailbox_store.fakes import MemoryJournal

TRACE = b"Received: from a\n\tby b with SMTP id s.1;\n\tdate\n"
BODY = b"Subject: x\n\nFrom here\nto there"
ENTRY = HeldEntry(1, 0, "c@d.example", 10, 2, 0)


class Journal(MemoryJournal):
    """Settled how often a message's pieces are read."""

    read = 0

    def pieces(self, message: HeldMessage) -> Iterator[bytes]:
        self.read += 1
        return super().pieces(message)


def _staged(journal: MemoryJournal | None = None, length: int | None = None) -> Rendering:
    journal = journal or MemoryJournal()
    with journal.transaction():
        journal.stage("s.1", 0, BODY[:14], 1)
        journal.stage("s.1", 14, BODY[14:20], 1)
    return Rendering(journal, HeldMessage("s.1", 0, "a@b", TRACE, 20, BODY[20:]), length)


def test_pieces_and_whole_render_the_same() -> None:
    whole = Rendering(MemoryJournal(), HeldMessage("s.1", 0, "a@b", TRACE, 0, BODY))
    octets = b"".join(whole.pieces(ENTRY))
    assert octets == b"\n\n" + head(0, "a@b", "c@d.example", TRACE) + b"Subject: x\n\n>From here\nto there\n\n"
    assert b"".join(_staged().pieces(ENTRY)) == octets


def test_the_length_is_that_of_the_text_alone() -> None:
    rendering = _staged()
    assert rendering.text_length() + len(rendering.head("c@d.example")) + 2 == len(b"".join(rendering.pieces(ENTRY)))


@pytest.mark.parametrize(("held", "reads"), [(0, 3), (len(BODY) - 1, 3), (len(BODY), 1)])
def test_a_staged_message_that_can_be_held_is_read_once(
    monkeypatch: pytest.MonkeyPatch, held: int, reads: int
) -> None:
    monkeypatch.setattr(rendering_module, "HELD", held)
    journal = Journal()
    rendering = _staged(journal)
    length = rendering.text_length()
    assert b"".join(rendering.pieces(ENTRY)) == b"".join(_staged().pieces(ENTRY)) == b"".join(rendering.pieces(ENTRY))
    assert length == rendering.text_length() == _staged().text_length()
    assert journal.read == reads


def test_nothing_is_read_for_a_length_that_is_known() -> None:
    journal = Journal()
    assert _staged(journal, 1234).text_length() == 1234
    assert journal.read == 0


def test_the_mark_is_the_line_with_the_delivery_id() -> None:
    assert _staged().mark() == b"\tby b with SMTP id s.1;\n"
    assert Rendering(MemoryJournal(), HeldMessage("s.2", 0, "", TRACE, 0, b"")).mark() == b""


# ---------------------------------------------------------------- how long messages under way will be


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
    monkeypatch.setattr(rendering_module, "_MOST", 3)
    counted = Lengths()
    for number in range(5):
        counted.add(f"s.{number}", 0, b"x")
    assert [counted.whole(f"s.{number}", 1, b"") is None for number in range(5)] == [True, True, False, False, False]
