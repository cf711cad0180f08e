"""The checkpoint forgets what is on disk, all of it, and nothing else."""

from __future__ import annotations

import errno

import pytest

from mailbox_store.checkpoint import LEDGER_KEPT, PIECES_KEPT, Tidying
from mailbox_store.journal.journal import Forgotten, HeldMessage, JournalError, Place
from mailbox_store.mailboxes import mailboxes, plan
from tests.mailbox_store.bench import A, B, Bench, deliver, failure
from tests.mailbox_store.fakes import (
    NOW,
    Clock,
    HeldExecutor,
    MemoryJournal,
)


class Logged(Bench):
    def written(self) -> list[str]:
        """The deliveries whose octets were written to the file of A, in order, since this was last asked for."""
        done = [op[3] for op in self.files.log if op[:2] == ("write", A)]
        self.files.log.clear()
        return [name for data in done for name in ("one", "two") if f"id {name}\n".encode() in data]


def _fail_sync(kind: str, name: str) -> None:
    if (kind, name) == ("sync", A):
        raise OSError(errno.EIO, "Input/output error")


def test_a_synced_delivery_is_forgotten_and_its_id_is_kept() -> None:
    bench = Logged()
    bench.deliver("one", A, B)
    assert bench.store.busy
    bench.second()
    assert not bench.journal.state.entries
    assert not bench.journal.state.messages
    assert bench.journal.known("one")
    assert not bench.store.busy


def test_what_was_appended_is_marked_before_it_is_synced() -> None:
    bench = Logged()
    bench.deliver("one", A)
    bench.store.tick()
    bench.deliver("two", A)
    bench.store.tick()
    assert [pending.appended for pending in bench.journal.pending()][-1:] == [False]
    bench.clock.now += 0.04
    bench.store.tick()
    assert [pending.appended for pending in bench.journal.pending()] == [True]


def test_a_message_stays_while_one_of_its_mailboxes_waits() -> None:
    bench = Logged()
    bench.files.locked = {B}
    bench.deliver("one", A, B)
    bench.second()
    assert [pending.entry.mailbox for pending in bench.journal.pending()] == [B]
    assert bench.journal.state.messages
    bench.files.locked = set()
    bench.second()
    bench.second()
    assert not bench.journal.state.messages


def test_a_disk_that_is_slow_has_rest_between_rounds() -> None:
    bench = Logged()

    def slow(kind: str, name: str) -> None:
        if (kind, name) == ("sync", A):
            bench.clock.now += 1.5

    bench.files.before = slow
    bench.deliver("one", A)
    bench.store.tick()
    bench.store.tick()
    bench.deliver("two", A)
    synced = bench.clock.now
    while bench.store.busy and bench.clock.now < synced + 60:
        bench.clock.now += 0.05
        bench.store.tick()
    # Twice as long as the round before, and then a round of its own.
    assert synced + 3.0 <= bench.clock.now - 1.5 <= synced + 3.3
    assert not bench.journal.state.messages


def test_a_failed_sync_forgets_nothing_and_is_made_good() -> None:
    bench = Logged()

    bench.files.before = _fail_sync
    bench.deliver("one", A, B)
    bench.second()
    assert [pending.entry.mailbox for pending in bench.journal.pending()] == [A]
    bench.files.before = lambda _kind, _name: None
    for _ in range(5):
        bench.second()
    assert not bench.journal.state.messages
    assert bytes(bench.files.content[A]).count(b"id one") == 1


def test_what_was_appended_before_a_sync_failed_is_written_again_too() -> None:
    executor = HeldExecutor()
    bench = Logged(executor)
    bench.deliver("one", A)
    bench.store.tick()
    bench.deliver("two", A)
    assert bench.written() == ["one", "two"]
    # The kernel takes the pages of both for clean now.
    bench.files.before = _fail_sync
    executor.run()
    bench.files.before = lambda _kind, _name: None
    for _ in range(20):
        bench.clock.now += 0.6
        bench.store.tick()
        executor.run()
    assert bench.written() == ["one", "two"]
    assert not bench.journal.state.messages
    assert bytes(bench.files.content[A]).count(b"Received: id ") == 2


@pytest.mark.parametrize("killed", [True, False])
def test_what_the_last_process_could_not_sync_is_written_again_by_the_next(killed: bool) -> None:
    bench = Logged()
    bench.deliver("one", A)
    bench.files.before = _fail_sync
    if killed:
        bench.second()
    else:
        bench.store.close()
    assert bench.written() == ["one"]
    bench.files.before = lambda _kind, _name: None
    bench.start()
    assert bench.written() == ["one"]
    bench.second()
    assert not bench.journal.state.messages
    assert bytes(bench.files.content[A]).count(b"Received: id ") == 1


def test_what_its_user_has_removed_since_does_not_come_back_with_the_next_process() -> None:
    bench = Logged()
    bench.files.before = _fail_sync
    bench.deliver("one", A)
    bench.second()
    bench.files.content[A].clear()
    bench.files.before = lambda _kind, _name: None
    bench.start()
    bench.second()
    assert not bench.files.content[A]
    assert not bench.journal.state.messages


def test_what_a_failed_close_tells_is_believed_over_the_sync_that_follows() -> None:
    executor = HeldExecutor()
    bench = Logged(executor)
    bench.deliver("one", A)
    bench.store.tick()
    assert bench.written() == ["one"]

    def fail(kind: str, name: str) -> None:
        if (kind, name) == ("open", B):
            raise PermissionError(errno.EACCES, "Permission denied")
        if (kind, name) == ("close", A):
            bench.files.before = lambda _kind, _name: None
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    # A round has begun, and while it is under way the mailbox is opened for a mail that another one cannot take.
    bench.files.before = fail
    assert failure(bench.ask(deliver("two", A, B))[0]) == "trouble"
    executor.run()
    for _ in range(20):
        bench.clock.now += 0.6
        bench.store.tick()
        executor.run()
    assert bench.written() == ["one"]
    assert not bench.journal.state.messages
    assert bytes(bench.files.content[A]).count(b"Received: id ") == 1


def test_a_round_is_begun_early_where_what_waits_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "_UNSYNCED", 1)
    monkeypatch.setattr(plan, "_AT_ONCE", 0)
    bench = Logged()
    bench.deliver("one", A, B)
    for _ in range(20):
        bench.store.tick()
        bench.clock.now += 0.01
    assert bytes(bench.files.content[A]) != b"" != bytes(bench.files.content[B])
    assert not bench.journal.state.messages


def test_a_folder_that_cannot_be_synced_forgets_nothing() -> None:
    bench = Logged()

    def broken(kind: str, _name: str) -> None:
        if kind == "sync_folder":
            raise OSError(errno.EIO, "Input/output error")

    bench.files.before = broken
    bench.deliver("one", A)
    bench.second()
    assert bench.journal.state.messages


def test_the_last_checkpoint_leaves_nothing_to_recover() -> None:
    bench = Logged()
    bench.deliver("one", A)
    bench.store.close()
    assert not bench.journal.state.messages
    assert bench.journal.closed


# ---------------------------------------------------------------- by the clock


class Ids:
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
    bench = Ids(2500)
    assert bench.step() == 2500
    bench.now += LEDGER_KEPT + 1
    assert [bench.step(0.02) for _ in range(2)] == [2500, 2500]
    assert [bench.step(60), bench.step(0.02), bench.step(0.02)] == [1500, 500, 0]
    bench.keep(1, NOW)
    assert [bench.step(59), bench.step(2)] == [1, 0]


def test_ids_of_a_clock_that_was_wrong_go_too() -> None:
    bench = Ids()
    bench.keep(3, NOW + LEDGER_KEPT + 1)
    bench.keep(2, NOW + LEDGER_KEPT)
    assert bench.step() == 2


def test_pieces_go_when_no_more_have_come_for_long() -> None:
    bench = Ids()
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
    bench = Ids(1)
    bench.now += LEDGER_KEPT + 1

    def broken() -> None:
        raise JournalError("journal: broken")

    bench.journal.fail = broken
    for _ in range(2):
        with pytest.raises(JournalError):
            bench.step()
    bench.journal.fail = lambda: None
    assert bench.step() == 0
