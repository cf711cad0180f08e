"""Recovery, by trying every state that a crash could leave.

Without edits by users a recovered mailbox has exactly one right content: what was there before, and every delivery
that the journal committed, whole, once, in order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from mail.mbox import head, newlines_before, text
from mailbox_store import recovery
from mailbox_store.mailboxes import mailboxes, plan, visit, writing
from tests.mailbox_store.crashes import Crash, kills, power_losses
from tests.mailbox_store.fakes import (
    NOW,
    AskedStore,
    Clock,
    FixedUsers,
    InlineExecutor,
    MemoryFiles,
    MemoryJournal,
    Operation,
    State,
)
from wire.messages import Ask, Deliver, Stage
from wire.outcomes import Delivered

ALICE, BOB, CAROL = "alice@a.example", "bob@a.example", "carol@a.example"
USERS = FixedUsers(ALICE, BOB, CAROL)
# Alice has old mail, Bob a file that he left without a newline, Carol has none yet.
BEFORE = {ALICE: b"From x Mon Nov 23 07:05:55 2026\nSubject: old\n\nold\n\n", BOB: b"a note by hand"}
BODIES = {
    "s1.1": b"Subject: one\n\nFrom the start\n",
    "s1.2": b"no header\n" + b"x" * 150,
    "s2.1": b"",
    "s3.1": b"Subject: large\n\n" + b"0123456789abcdef\n" * 12 + b"From us",
    "s4.1": b"\nnul \0\0\0 octets\n" + bytes(80) + b"end\n",
    "s5.1": b"Subject: last\n\n" + b"y" * 70 + b"\n",
}
# Carol writes this into her mailbox, and syncs it, while an entry waits for it.
NOTE = b"a note of mine\n"
TO = {
    "s1.1": (ALICE, BOB),
    "s1.2": (ALICE,),
    "s2.1": (CAROL, ALICE),
    "s3.1": (BOB, CAROL),
    "s4.1": (ALICE, CAROL),
    "s5.1": (BOB,),
}
# Recipients whose address is another than their mailbox's.
ORIGINALS = {"s2.1": ((1, "alice+a@a.example"), (1, "alice+b@a.example")), "s3.1": ((0, "bob+c@b.example"),)}


def _trace(delivery: str) -> bytes:
    return f"Received: from a by home.example with SMTP id {delivery}; date\n".encode()


def _deliver(delivery: str, staged: int = 0) -> Ask:
    question = Deliver(
        delivery,
        NOW,
        "s@b.example",
        TO[delivery],
        _trace(delivery),
        staged,
        BODIES[delivery][staged:],
        ORIGINALS.get(delivery, ()),
    )
    return Ask(1, NOW + 1000, question)


def _store(journal: MemoryJournal, files: MemoryFiles, clock: Clock) -> AskedStore:
    return AskedStore(journal, files, USERS, InlineExecutor(), lambda: NOW, clock)


def _expected(crash: Crash, mailbox: str) -> bytes:
    journal = crash.journal
    whole = BEFORE.get(mailbox, b"")
    committed = sorted(journal.ledger, key=lambda delivery: journal.ledger[delivery][0])
    for delivery in committed:
        if mailbox in TO[delivery]:
            whole += b"\n" * newlines_before(whole[-2:])
            named = [address for place, address in ORIGINALS.get(delivery, ()) if TO[delivery][place] == mailbox]
            whole += head(NOW, "s@b.example", mailbox, _trace(delivery), named)
            whole += b"".join(text([BODIES[delivery]]))
        if delivery == "s2.1" and mailbox == CAROL and NOTE in crash.files.get(CAROL, b""):
            whole += NOTE
    return whole


def _workload(ticks: int = 0) -> list[Operation]:
    """Batches, a staged message, a locked mailbox, two checkpoints; every step of it.

    :param ticks: where nothing is appended at once, how often the store is given time for a portion after each batch.
    """
    run: list[Operation] = []
    journal = MemoryJournal(on_commit=lambda state: run.append(("commit", state)))
    files = MemoryFiles(BEFORE, run)
    clock = Clock()
    store = _store(journal, files, clock)
    store.recover("boot")

    def ask(*asks: Ask) -> None:
        for each, outcome in zip(asks, store.answer(asks), strict=True):
            if isinstance(each.question, Deliver):
                assert outcome == Delivered(False)
                run.append(("ack", each.question.delivery))
        for _ in range(ticks):
            store.tick()

    large = BODIES["s3.1"]
    ask(_deliver("s1.1"), _deliver("s1.2"))
    ask(Ask(1, NOW + 1000, Stage("s3.1", 0, large[:90])), _deliver("s2.1"))
    for _ in range(20 * ticks):
        store.tick()
    files.locked = {CAROL}
    ask(Ask(1, NOW + 1000, Stage("s3.1", 90, large[90:180])))
    store.tick()
    clock.now += 1.1
    ask(_deliver("s3.1", 180))
    files.do(("edit", CAROL, NOTE))
    files.locked = set()
    clock.now += 0.1
    store.tick()
    clock.now += 0.1
    ask(_deliver("s4.1"))
    clock.now += 1.1
    store.tick()
    ask(_deliver("s5.1"))
    store.close()
    return run


def _recover(crash: Crash, run: list[Operation] | None = None) -> tuple[MemoryJournal, MemoryFiles]:
    log: list[Operation] = run if run is not None else []
    journal = MemoryJournal(crash.journal, lambda state: log.append(("commit", state)))
    files = MemoryFiles(crash.files, log)
    _settle(journal, files, "boot after" if crash.power_lost else "boot")
    return journal, files


def _settle(journal: MemoryJournal, files: MemoryFiles, boot: str) -> None:
    """A new process, until it has nothing left to do."""
    clock = Clock()
    store = _store(journal, files, clock)
    store.recover(boot)
    for _ in range(100):
        clock.now += 0.6
        store.tick()
        if not store.busy:
            return
    raise AssertionError("recovery does not end")


def _check(crash: Crash) -> None:
    journal, files = _recover(crash)
    for mailbox in (ALICE, BOB, CAROL):
        assert bytes(files.content.get(mailbox, b"")) == _expected(crash, mailbox)
    assert crash.acknowledged <= set(crash.journal.ledger)
    assert not journal.state.entries
    assert not journal.state.messages


def _distinct(crashes: Iterable[Crash]) -> list[Crash]:
    return list({crash.key(): crash for crash in crashes}.values())


def _all_crashes(run: list[Operation], at_most: int) -> list[Crash]:
    dice = random.Random(1)
    return _distinct([*kills(State(), BEFORE, run), *power_losses(State(), BEFORE, run, dice, at_most)])


@pytest.mark.parametrize("at_most", [300, pytest.param(1500, marks=pytest.mark.long)])
def test_every_crash_of_a_short_run_is_recovered_exactly(capsys: pytest.CaptureFixture[str], at_most: int) -> None:
    crashes = _all_crashes(_workload(), at_most)
    for crash in crashes:
        _check(crash)
    with capsys.disabled():
        print(f"\n{len(crashes)} crash states recovered", end=" ")
    assert len(crashes) > 10 * at_most


@pytest.mark.parametrize("ticks", [1, 3])
def test_every_crash_between_two_portions_is_recovered_exactly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ticks: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(plan, "_AT_ONCE", 0)
        patch.setattr(mailboxes, "_PORTION", 1)
        patch.setattr(visit, "_OCTETS", 1)
        patch.setattr(writing, "_TOGETHER", 1)
        run = _workload(ticks)
    # Copies are written in several portions, and answered for before that.
    writes = [index for index, operation in enumerate(run) if operation[0] == "write"]
    assert len(writes) > sum(operation[0] == "write" for operation in _workload())
    assert run.index(("ack", "s1.1")) < writes[0]
    crashes = _all_crashes(run, 150)
    for crash in crashes:
        _check(crash)
    with capsys.disabled():
        print(f"\n{len(crashes)} crash states recovered", end=" ")
    assert len(crashes) > 200


@pytest.mark.parametrize("sample", [20, pytest.param(200, marks=pytest.mark.long)])
def test_a_crash_during_recovery_is_recovered_too(capsys: pytest.CaptureFixture[str], sample: int) -> None:
    dice = random.Random(2)
    tried = 0
    for crash in dice.sample(_all_crashes(_workload(), 100), sample):
        run: list[Operation] = []
        _recover(crash, run)
        again = [*kills(crash.journal, crash.files, run)]
        if crash.power_lost:
            # The first recovery ran in another boot than the run, so the second one compares as well.
            for each in again:
                each.power_lost = each.journal.boot != "boot after"
        for each in _distinct([*again, *power_losses(crash.journal, crash.files, run, dice, 30)]):
            _check_second(each, crash)
            tried += 1
    with capsys.disabled():
        print(f"\n{tried} crash states of recoveries recovered", end=" ")
    assert tried > 20 * sample


def _check_second(crash: Crash, first: Crash) -> None:
    journal = MemoryJournal(crash.journal)
    files = MemoryFiles(crash.files)
    same_boot = "boot after" if first.power_lost else "boot"
    boot = "third boot" if crash.power_lost and crash.journal.boot == same_boot else same_boot
    _settle(journal, files, boot)
    for mailbox in (ALICE, BOB, CAROL):
        assert bytes(files.content.get(mailbox, b"")) == _expected(first, mailbox)


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_was_not_marked_yet_is_written_once_more_for_a_sync_of_it_may_have_failed(forgotten: bool) -> None:
    run: list[Operation] = []
    journal = MemoryJournal(on_commit=lambda state: run.append(("commit", state)))
    files = MemoryFiles(BEFORE, run)
    store = _store(journal, files, Clock())
    store.recover("boot")
    store.answer([_deliver("s1.2")])
    # The process is killed before the journal is told that it was appended.
    content = {name: bytes(data) for name, data in files.content.items()}
    whole = content[ALICE]
    if forgotten:
        # The kernel shows what the disk has of it: only the file's size.
        content[ALICE] = BEFORE[ALICE] + bytes(len(whole) - len(BEFORE[ALICE]))
    again: list[Operation] = []
    files = MemoryFiles(content, again)
    _settle(MemoryJournal(journal.state), files, "boot")
    assert bytes(files.content[ALICE]) == whole
    written = b"".join(each[3] for each in again if each[0] == "write" and each[1] == ALICE)
    assert written == whole[len(BEFORE[ALICE]) :]
    assert ("sync", ALICE) in again


def test_the_kernel_s_name_is_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boot_id").write_text("f6d5\n")
    monkeypatch.setattr(recovery, "_BOOT_ID", tmp_path / "boot_id")
    assert recovery.this_boot() == "f6d5"


@pytest.mark.parametrize(("text", "reason"), [(None, "No such file or directory"), ("\n", "is empty")])
def test_a_boot_that_cannot_be_known_is_a_new_one_at_each_start_and_the_log_says_so(
    text: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if text is not None:
        (tmp_path / "boot_id").write_text(text)
    monkeypatch.setattr(recovery, "_BOOT_ID", tmp_path / "boot_id")
    first, second = recovery.this_boot(), recovery.this_boot()
    assert first
    assert second
    assert first != second
    said = f"! {tmp_path}/boot_id: {reason}; this start counts as one after a new boot"
    assert caplog.messages == [said, said]
