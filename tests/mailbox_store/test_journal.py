"""The journal's promises: whatever is done to it, SQLite's does as the one in memory does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailbox_store.journal import Forgotten, Journal, JournalError, Message, Pending, Place
from mailbox_store.sqlite_journal import SqliteJournal
from tests.mailbox_store.fakes import MemoryJournal
from wire.records import replace

IDS = st.sampled_from(["a.1", "a.2", "b.1", "c.1"])
BOXES = st.lists(st.sampled_from(["x@e", "y@e", "z@e"]), min_size=1, max_size=3, unique=True)


class _GiveUpError(Exception):
    """Leaves a transaction."""


class Both(RuleBasedStateMachine):
    """Does everything to both journals."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal"
        self.real = SqliteJournal(self.path)
        self.model = MemoryJournal()
        self.now = 1000

    def _do(self, change: Callable[[Journal], Any], give_up: bool) -> None:
        results = []
        for journal in (self.real, self.model):
            with suppress(_GiveUpError), journal.transaction():
                results.append(change(journal))
                if give_up:
                    raise _GiveUpError
        assert results[0] == results[1]

    def _entries(self) -> list[Pending]:
        return self.model.pending()

    @rule(delivery=IDS, boxes=BOXES, staged=st.booleans(), data=st.binary(max_size=9), give_up=st.booleans())
    def add(self, delivery: str, boxes: list[str], staged: bool, data: bytes, give_up: bool) -> None:
        if not self.model.known(delivery):
            octets = sum(size for _, size in self.model.extents(delivery)) if staged else 0
            message = Message(delivery, 5, "s@e", b"t\n", octets, data)
            places = [Place(box, 10, 0, 20) for box in boxes]
            self._do(lambda journal: journal.add(message, places, self.now), give_up)

    @rule(delivery=IDS, offset=st.sampled_from([0, 3, 6]), data=st.binary(max_size=3), give_up=st.booleans())
    def stage(self, delivery: str, offset: int, data: bytes, give_up: bool) -> None:
        if not self.model.known(delivery):
            self._do(lambda journal: journal.stage(delivery, offset, data, self.now), give_up)

    @rule(delivery=IDS, give_up=st.booleans())
    def discard(self, delivery: str, give_up: bool) -> None:
        if not self.model.known(delivery):
            self._do(lambda journal: journal.discard(delivery), give_up)

    @rule(pick=st.integers(0, 9), give_up=st.booleans())
    def mark(self, pick: int, give_up: bool) -> None:
        entries = [pending.entry for pending in self._entries()[:pick]]
        self._do(lambda journal: journal.set_appended(entries), give_up)

    @rule(pick=st.integers(0, 9), give_up=st.booleans())
    def move(self, pick: int, give_up: bool) -> None:
        entries = [replace(pending.entry, start=7, lead=1, length=21) for pending in self._entries()[pick:]]
        self._do(lambda journal: journal.move(entries), give_up)

    @rule(pick=st.integers(0, 9), give_up=st.booleans())
    def forget(self, pick: int, give_up: bool) -> None:
        numbers = sorted({pending.entry.number for pending in self._entries()})[:pick]
        entries = [pending.entry for pending in self._entries() if pending.entry.number in numbers]
        self._do(lambda journal: journal.forget(Forgotten(entries, numbers)), give_up)

    @rule(limit=st.integers(1, 3), give_up=st.booleans())
    def prune(self, limit: int, give_up: bool) -> None:
        # Messages that are not on disk yet keep their id in this model: a delivery is known while it is held.
        if not self._entries():
            self._do(lambda journal: journal.prune(self.now - 2000, self.now + 2000, limit), give_up)

    @rule(give_up=st.booleans())
    def drop_stale(self, give_up: bool) -> None:
        self._do(lambda journal: journal.drop_stale(self.now - 2000), give_up)

    @rule(boot=st.sampled_from(["one", "two"]), give_up=st.booleans())
    def set_boot(self, boot: str, give_up: bool) -> None:
        self._do(lambda journal: journal.set_boot(boot), give_up)

    @rule()
    def time_passes(self) -> None:
        self.now += 1000

    @rule()
    def maintain(self) -> None:
        self.real.maintain()

    @rule()
    def reopen(self) -> None:
        self.real.close()
        self.real = SqliteJournal(self.path)
        # Numbers grow only while something holds one, as nothing can be told apart by them after that.
        held = [number for number, _ in self.model.state.ledger.values()]
        self.model.state.next = max([0, *held, *self.model.state.messages]) + 1

    @invariant()
    def they_say_the_same(self) -> None:
        assert self.real.pending() == self.model.pending()
        assert self.real.boot() == self.model.boot()
        for delivery in ("a.1", "a.2", "b.1", "c.1"):
            assert self.real.known(delivery) == self.model.known(delivery)
            assert self.real.extents(delivery) == self.model.extents(delivery)
        for number, message in self.model.state.messages.items():
            assert self.real.message(number) == message
            assert b"".join(self.real.pieces(message)) == b"".join(self.model.pieces(message))

    def teardown(self) -> None:
        self.real.close()
        self.folder.cleanup()


def test_any_sequence_of_changes_and_restarts_is_as_in_the_model() -> None:
    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_missing_message_is_the_journal_s_error(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal")
    with pytest.raises(JournalError, match="7"):
        journal.message(7)
    journal.close()
