"""What makes no sense, comes too late or is not whole is refused, alone, and nothing of it is kept."""

from __future__ import annotations

import pytest

from mailbox_store.checkpoint import LEDGER_REACH
from tests.mailbox_store.bench import A, B, Bench, deliver, failure
from tests.mailbox_store.fakes import NOW
from wire.messages import Ask, Deliver, Stage
from wire.outcomes import Delivered, Staged
from wire.records import replace


@pytest.mark.parametrize("shift", [LEDGER_REACH + 1, -LEDGER_REACH - 1, 2**64 - 1 - NOW])
def test_a_message_of_another_time_is_refused(shift: int) -> None:
    bench = Bench()
    assert failure(bench.ask(deliver("one", time=NOW + shift))[0]) == "expired"
    assert bench.count("one") == 0


@pytest.mark.parametrize(
    ("pieces", "staged"), [([], 5), ([(0, 5)], 6), ([(1, 5)], 5), ([(0, 3), (4, 1)], 4), ([(0, 5)], 2**64)]
)
def test_pieces_that_do_not_add_up_are_refused(pieces: list[tuple[int, int]], staged: int) -> None:
    bench = Bench()
    bench.ask(*[Stage("one", offset, bytes(size)) for offset, size in pieces])
    assert failure(bench.ask(deliver("one", staged=staged))[0]) == "trouble"


@pytest.mark.parametrize(
    "delivery",
    [
        deliver("one", "../etc@b.example"),
        deliver("one", A, "nobody@b.example"),
        deliver("one", sender="a\nb@c"),
        Deliver("one", NOW, "", (A,), b"no newline", 0, b""),
        deliver("one", staged=1),
        replace(deliver("one"), originals=((1, "of@no.mailbox"),)),
        replace(deliver("one"), originals=((0, "a\nSubject: x@b.example"),)),
    ],
)
def test_what_makes_no_sense_fails_alone(delivery: Deliver) -> None:
    bench = Bench()
    first, second = bench.ask(delivery, deliver("two"))
    assert failure(first) == "trouble"
    assert second == Delivered(False)
    assert not bench.journal.known("one")
    assert (bench.count("one"), bench.count("two")) == (0, 1)


def test_an_offset_beyond_all_messages_is_refused() -> None:
    assert failure(Bench().ask(Stage("one", 2**63, b"x"))[0]) == "trouble"


def test_after_its_deadline_nothing_is_done() -> None:
    bench = Bench()
    late = bench.ask(deliver("one"), Stage("two", 0, b"x"), deadline=NOW - 1)
    assert [failure(outcome) for outcome in late] == ["expired", "expired"]
    assert not bench.journal.known("one")
    assert bench.journal.extents("two") == []


@pytest.mark.parametrize("alone", [True, False])
def test_what_passes_its_deadline_while_it_is_planned_is_not_stored(alone: bool) -> None:
    bench = Bench()

    def slow(kind: str, _name: str) -> None:
        if kind == "open":
            bench.now += 2000

    bench.files.before = slow
    asks = [Ask(1, NOW + 1000, deliver("late")), Ask(2, NOW + 100_000, deliver("patient", B))]
    outcomes = bench.store.answer(asks[:1] if alone else asks)
    assert failure(outcomes[0]) == "expired"
    assert outcomes[1:] == ([] if alone else [Delivered(False)])
    assert not bench.journal.known("late")
    assert (bench.count("late"), bench.count("patient", B)) == (0, 0 if alone else 1)


def test_what_is_promised_to_mailboxes_is_no_room_for_others() -> None:
    bench = Bench()
    bench.files.locked = {A}
    bench.files.free = 1024 * 1024 + 1500
    assert bench.ask(deliver("one", data=b"x" * 1000)) == [Delivered(False)]
    assert bench.store.waiting == 1
    assert failure(bench.ask(deliver("two", B, data=b"x" * 1000))[0]) == "disk_full"
    assert failure(bench.ask(Stage("large", 0, b"x" * 1000))[0]) == "disk_full"
    bench.files.locked = set()
    bench.clock.now += 1
    bench.store.tick()
    assert bench.ask(deliver("two", B, data=b"x" * 1000)) == [Delivered(False)]
    assert bench.ask(Stage("large", 0, b"x" * 100)) == [Staged(100)]
