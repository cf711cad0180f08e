"""A message's entries are the same octets whether it is held whole or read in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mail.mbox import head
from mailbox_store.journal.journal import HeldEntry, HeldMessage
from mailbox_store.mailboxes import rendering as rendering_module
from mailbox_store.mailboxes.rendering import Rendering
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
