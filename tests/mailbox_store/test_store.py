"""A batch of questions and its outcomes."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from mailbox_store.checkpoint import LEDGER_KEPT, LEDGER_REACH, PIECES_KEPT
from mailbox_store.journal.journal import HeldMessage, JournalError, JournalFull
from tests.event_lines import event_log
from tests.mailbox_store.bench import A, B, Bench, deliver, failure, refuse_b
from tests.mailbox_store.fakes import NOW, AskedStore, Clock, FixedUsers, InlineExecutor, MemoryFiles, MemoryJournal
from wire.messages import Ask, Check, Discard, Lookup, Stage
from wire.outcomes import Delivered, Discarded, Found, Staged, Unwritable, Writable
from wire.records import replace

HOUR = 3_600_000
MIB = 1024 * 1024


def test_outcomes_come_in_the_order_of_the_questions() -> None:
    bench = Bench()
    assert bench.ask(Lookup("A", "b.example"), deliver("one"), Check((A, B)), Discard("two")) == [
        Found(A, holds=300, writable_for=250),
        Delivered(False),
        Writable(holds=250),
        Discarded(),
    ]


def test_a_repeat_is_known_in_the_same_batch_in_the_next_and_after_a_restart() -> None:
    bench = Bench()
    assert bench.ask(deliver("one"), deliver("one")) == [Delivered(False), Delivered(True)]
    assert bench.ask(deliver("one")) == [Delivered(True)]
    bench.store.close()
    again = Bench()
    again.journal.state, again.files.content = bench.journal.state, bench.files.content
    assert again.ask(deliver("one")) == [Delivered(True)]
    assert again.count("one") == 1


def test_a_repeat_is_known_where_the_journal_cannot_be_written() -> None:
    bench = Bench()
    bench.ask(deliver("one"))

    def fail() -> None:
        raise JournalError("no")

    bench.journal.fail = fail
    assert bench.ask(deliver("one")) == [Delivered(True)]
    known, new = bench.ask(deliver("one"), deliver("two"))
    assert (known, failure(new)) == (Delivered(True), "trouble")
    assert bench.count("one") == 1


def test_a_mailbox_named_twice_gets_one_entry() -> None:
    bench = Bench()
    assert bench.ask(deliver("one", A, B, A)) == [Delivered(False)]
    assert (bench.count("one", A), bench.count("one", B)) == (1, 1)


def test_a_mailbox_names_the_recipients_that_it_has_the_mail_for_and_no_other_s() -> None:
    bench = Bench()
    originals = ((0, "a+x@b.example"), (1, "b+secret@b.example"), (0, "a+y@b.example"))
    bench.ask(replace(deliver("one", A, B), originals=originals))
    heads = {box: bytes(bench.files.content[box]).partition(b"Received:")[0].splitlines()[2:] for box in (A, B)}
    assert heads == {
        A: [b"Delivered-To: " + A.encode(), b"X-Original-To: a+x@b.example", b"X-Original-To: a+y@b.example"],
        B: [b"Delivered-To: " + B.encode(), b"X-Original-To: b+secret@b.example"],
    }


def test_no_repeat_outlives_the_ledger() -> None:
    bench = Bench()
    delivery = deliver("one", time=NOW + LEDGER_REACH)
    bench.ask(delivery)
    bench.now = NOW + LEDGER_REACH + LEDGER_KEPT
    # Until it is on disk in its mailbox the message is held, and known whatever the time is.
    while bench.journal.state.messages:
        bench.clock.now += 100
        bench.store.tick()
    assert bench.ask(delivery) == [Delivered(True)]
    bench.now += 1
    bench.clock.now += 100
    bench.store.tick()
    assert not bench.journal.known("one")
    assert failure(bench.ask(delivery)[0]) == "expired"


def test_a_staged_message_is_delivered_whole() -> None:
    bench = Bench()
    assert bench.ask(Stage("one", 0, b"x: y\n"), Stage("one", 5, b"\nmore ")) == [Staged(5), Staged(11)]
    assert bench.ask(Stage("one", 5, b"\nmore ")) == [Staged(11)]
    assert bench.ask(deliver("one", A, B, staged=11, data=b"text")) == [Delivered(False)]
    assert bytes(bench.files.content[B]).endswith(b"id one\nx: y\n\nmore text\n\n")
    assert bench.ask(Stage("one", 0, b"x: y\n"), Discard("one")) == [Staged(5), Discarded()]
    assert b"".join(bench.journal.pieces(bench.journal.message(1))) == b"x: y\n\nmore text"


def test_large_messages_are_read_to_be_appended_and_never_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    read: list[str] = []

    def pieces(
        message: HeldMessage, whole: Callable[[HeldMessage], Iterator[bytes]] = bench.journal.pieces
    ) -> Iterator[bytes]:
        read.append(message.delivery)
        return whole(message)

    monkeypatch.setattr(bench.journal, "pieces", pieces)
    sizes = {"one": 5 * MIB, "two": 25 * MIB, "three": 1 * MIB}
    bench.ask(*[Stage(name, 0, bytes(size)) for name, size in sizes.items()])
    bench.ask(*[deliver(name, staged=size, data=b"end\n") for name, size in sizes.items()])
    for _ in range(20):
        bench.store.tick()
    assert Counter(read) == dict.fromkeys(sizes, 1)
    assert [bench.count(name) for name in sizes] == [1] * 3


def test_a_message_whose_beginning_an_earlier_store_took_is_measured_by_reading_it() -> None:
    bench = Bench()
    bench.ask(Stage("one", 0, b"x: y\n"))
    again = Bench()
    again.journal.state = bench.journal.state
    assert again.ask(Stage("one", 5, b"\nFrom me\n"), deliver("one", staged=14)) == [Staged(14), Delivered(False)]
    assert again.count("one") == 1
    assert [pending.entry.length for pending in again.journal.pending()] == [len(again.files.content[A])]


def test_discarded_pieces_are_gone() -> None:
    bench = Bench()
    bench.ask(Stage("one", 0, b"x"), Discard("one"), Discard("one"))
    assert bench.journal.extents("one") == []


def test_pieces_of_a_message_that_never_ends_are_dropped() -> None:
    bench = Bench()
    bench.ask(Stage("one", 0, b"x"))
    bench.now += PIECES_KEPT + 1
    bench.clock.now += 2 * HOUR
    bench.store.tick()
    assert bench.journal.extents("one") == []


def test_an_unwritable_mailbox_is_named_and_nothing_is_stored() -> None:
    bench = Bench()
    bench.files.before = refuse_b
    assert bench.ask(Check((A, B))) == [Unwritable(B, "Permission denied")]
    assert bench.ask(Check(("who@b.example",))) == [Unwritable("who@b.example", "no such mailbox")]
    first, second = bench.ask(deliver("one", A, B), deliver("two", A))
    assert failure(first) == "trouble"
    assert second == Delivered(False)
    assert (bench.count("one"), bench.count("two")) == (0, 1)


def test_a_mailbox_folder_without_room_is_a_full_disk() -> None:
    bench = Bench()
    bench.files.free = 1024 * 1024 + 300
    outcomes = bench.ask(deliver("one"), deliver("two"), deliver("three"))
    assert outcomes[0] == Delivered(False)
    assert failure(outcomes[2]) == "disk_full"
    assert bench.count("three") == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (JournalError("broken"), "trouble"),
        (JournalFull("full"), "disk_full"),
        (ZeroDivisionError("a bug"), "trouble"),
    ],
)
def test_a_failed_transaction_is_tried_one_by_one(error: Exception, kind: str) -> None:
    bench = Bench()

    def fail() -> None:
        if "bad" in bench.journal.state.ledger:
            raise error

    bench.journal.fail = fail
    first, bad, last = bench.ask(deliver("one", A, B), deliver("bad"), deliver("three"))
    assert (first, last) == (Delivered(False), Delivered(False))
    assert failure(bad) == kind
    assert (bench.count("one"), bench.count("bad"), bench.count("three")) == (1, 0, 1)


def test_a_locked_mailbox_does_not_hold_the_outcome() -> None:
    bench = Bench()
    bench.files.locked = {A}
    assert bench.ask(deliver("one")) == [Delivered(False)]
    assert (bench.count("one"), bench.store.waiting, bench.store.busy) == (0, 1, True)
    bench.files.locked = set()
    bench.clock.now += 1
    bench.store.tick()
    assert (bench.count("one"), bench.store.waiting) == (1, 0)


def test_each_delivery_is_told_once_with_its_session_where_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    asks = [Ask(1, NOW, deliver(name, A, B)) for name in ("s-1.1", "s-2.1", "s-1.1")]
    with caplog.at_level(logging.INFO):
        bench.store.answer(asks[:1])
        assert caplog.messages == []
    events, log = event_log("json")
    told = AskedStore(
        MemoryJournal(), MemoryFiles(), FixedUsers(A, B), InlineExecutor(), lambda: NOW, Clock(), events=events
    )
    told.recover("boot")
    told.answer(asks)
    assert [(line["event"], line["session"], line["delivery"]) for line in log.objects] == [
        ("stored", "s-1", "s-1.1"),
        ("stored", "s-2", "s-2.1"),
    ]
    assert log.objects[0]["message"].startswith("= s-1.1 stored for 2 mailboxes, ")
    assert len(log.writes) == 1


def test_trouble_of_the_journal_is_told_once_and_tried_again_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.ask(deliver("one"))
    tries = 0

    def full() -> None:
        nonlocal tries
        tries += 1
        raise JournalFull("journal: full")

    bench.journal.fail = full
    for _ in range(1000):
        bench.clock.now += 0.02
        bench.store.tick()
    assert caplog.text.count("! journal: full") == 1
    assert 15 < tries < 25
    bench.journal.fail = lambda: None
    for _ in range(200):
        bench.clock.now += 0.02
        bench.store.tick()
    assert not bench.journal.state.messages


def test_the_boot_is_named_once_nothing_is_in_doubt() -> None:
    bench = Bench()
    bench.files.locked = {A}
    bench.ask(deliver("one"))
    after = AskedStore(bench.journal, bench.files, FixedUsers(A, B), InlineExecutor(), lambda: NOW, bench.clock)
    after.recover("second boot")
    assert bench.journal.boot() == "boot"
    bench.files.locked = set()
    bench.clock.now += 1
    after.tick()
    assert bench.journal.boot() == "second boot"
    assert bench.count("one") == 1


def test_what_keeps_even_a_small_message_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    assert bench.store.why_no_mail() == ""
    monkeypatch.setattr(bench.journal, "has_room", lambda: False)
    assert bench.store.why_no_mail() == "no room for mail: the disk of the journal is full"
    bench.files.free = 512 * 1024
    assert bench.store.why_no_mail() == "no room for mail: 0.5 MiB free where the mailboxes are"


@pytest.mark.parametrize(
    "error", [JournalError("journal: Input/output error"), OSError(errno.EIO, "Input/output error")]
)
def test_what_cannot_be_seen_is_no_room_either(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise error

    bench = Bench()
    where, what = (bench.files, "free_space") if isinstance(error, OSError) else (bench.journal, "has_room")
    monkeypatch.setattr(where, what, broken)
    assert bench.store.why_no_mail() == f"the room for mail cannot be seen: {error}"
