"""What keeps a message out is told before one comes."""

from __future__ import annotations

import pytest

from mailbox_store.journal.journal import JournalError
from mailbox_store.room import why_no_mail
from tests.mailbox_store.fakes import MemoryFiles, MemoryJournal


class Journal(MemoryJournal):
    """One whose disk is as it is said to be."""

    room: bool | Exception = True

    def has_room(self) -> bool:
        if isinstance(self.room, Exception):
            raise self.room
        return self.room


def test_what_keeps_even_a_small_message_out_is_told() -> None:
    files, journal = MemoryFiles(), Journal()
    assert why_no_mail(files, journal) == ""
    files.free = 512 * 1024
    assert why_no_mail(files, journal) == "no room for mail: 0.5 MiB free where the mailboxes are"
    files.free = 10 * 1024 * 1024
    journal.room = False
    assert why_no_mail(files, journal) == "no room for mail: the disk of the journal is full"


def test_what_cannot_be_seen_is_no_room_either(monkeypatch: pytest.MonkeyPatch) -> None:
    files, journal = MemoryFiles(), Journal()
    journal.room = JournalError("journal: Input/output error")
    assert why_no_mail(files, journal) == "the room for mail cannot be seen: journal: Input/output error"

    def broken() -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "free_space", broken)
    assert why_no_mail(files, Journal()) == "the room for mail cannot be seen: [Errno 5] Input/output error"
