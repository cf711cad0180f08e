"""What the journal forgets by the clock, how much of it at a time and how often."""

from __future__ import annotations

import pytest

from mailbox_store.checkpoint import LEDGER_KEPT, PIECES_KEPT, Tidying
from mailbox_store.journal.journal import Forgotten, HeldMessage, JournalError, Place
from tests.mailbox_store.fakes import NOW, Clock, MemoryJournal


class Bench:
    def __init__(self, ids: int = 0) -> None:
        self.journal, self.clock, self.now = MemoryJournal(), Clock(), NOW
        self.tidying = Tidying(self.journal, lambda: self.now, self.clock)
        self.keep(ids, NOW)

    def keep(self, ids: int, since: int) -> None:
        with self.journal.transaction():
            for _ in range(ids):
                name = f"s.{len(self.journal.state.ledger)}"
                entries = self.journal.add(HeldMessage(name, since, "", b"", 0, b""), [Place("a@b.example", 0, 0, 1)])
                self.journal.forget(Forgotten(entries, [entries[0].number]))

    def step(self, seconds: float = 0.0) -> int:
        """Gives how many ids are left."""
        self.clock.now += seconds
        self.tidying.step()
        return len(self.journal.state.ledger)


def test_old_ids_go_in_portions_and_then_once_a_minute() -> None:
    bench = Bench(2500)
    assert bench.step() == 2500
    bench.now += LEDGER_KEPT + 1
    assert [bench.step(0.02) for _ in range(2)] == [2500, 2500]
    assert [bench.step(60), bench.step(0.02), bench.step(0.02)] == [1500, 500, 0]
    bench.keep(1, NOW)
    assert [bench.step(59), bench.step(2)] == [1, 0]


def test_ids_of_a_clock_that_was_wrong_go_too() -> None:
    bench = Bench()
    bench.keep(3, NOW + LEDGER_KEPT + 1)
    bench.keep(2, NOW + LEDGER_KEPT)
    assert bench.step() == 2


def test_pieces_go_when_no_more_have_come_for_long() -> None:
    bench = Bench()
    with bench.journal.transaction():
        bench.journal.stage("s.1", 0, b"x", NOW)
    bench.now += PIECES_KEPT
    bench.step()
    assert bench.journal.extents("s.1")
    bench.now += 1
    bench.step(3599)
    assert bench.journal.extents("s.1")
    bench.step(2)
    assert not bench.journal.extents("s.1")


def test_what_could_not_be_written_is_due_again_at_once() -> None:
    bench = Bench(1)
    bench.now += LEDGER_KEPT + 1

    def broken() -> None:
        raise JournalError("journal: broken")

    bench.journal.fail = broken
    for _ in range(2):
        with pytest.raises(JournalError):
            bench.step()
    bench.journal.fail = lambda: None
    assert bench.step() == 0
