"""A message's entries are the same octets whether it is held whole or read in pieces."""

from __future__ import annotations

from mailbox_store.journal import Entry, Message
from mailbox_store.mbox import head
from mailbox_store.rendering import Rendering
from tests.mailbox_store.fakes import MemoryJournal

TRACE = b"Received: from a\n\tby b with SMTP id s.1;\n\tdate\n"
BODY = b"Subject: x\n\nFrom here\nto there"
ENTRY = Entry(1, 0, "c@d.example", 10, 2, 0)


def _staged() -> Rendering:
    journal = MemoryJournal()
    with journal.transaction():
        journal.stage("s.1", 0, BODY[:14], 1)
        journal.stage("s.1", 14, BODY[14:20], 1)
    return Rendering(journal, Message("s.1", 0, "a@b", TRACE, 20, BODY[20:]))


def test_pieces_and_whole_render_the_same() -> None:
    whole = Rendering(MemoryJournal(), Message("s.1", 0, "a@b", TRACE, 0, BODY))
    octets = b"".join(whole.pieces(ENTRY))
    assert octets == b"\n\n" + head(0, "a@b", "c@d.example", TRACE) + b"Subject: x\n\n>From here\nto there\n\n"
    assert b"".join(_staged().pieces(ENTRY)) == octets


def test_the_length_is_that_of_the_text_alone() -> None:
    rendering = _staged()
    assert rendering.text_length() + len(rendering.head("c@d.example")) + 2 == len(b"".join(rendering.pieces(ENTRY)))


def test_the_mark_is_the_line_with_the_delivery_id() -> None:
    assert _staged().mark() == b"\tby b with SMTP id s.1;\n"
    assert Rendering(MemoryJournal(), Message("s.2", 0, "", TRACE, 0, b"")).mark() == b""
