"""The checkpoint forgets what is on disk, all of it, and nothing else."""

from __future__ import annotations

import errno

import pytest

from mailbox_store.mailboxes import mailboxes, plan
from tests.mailbox_store.bench import A, B, Bench, deliver, failure
from tests.mailbox_store.fakes import (
    HeldExecutor,
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
