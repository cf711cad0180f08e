"""What a worker remembers of the store's answers: what was found, and for a moment only."""

from __future__ import annotations

import pytest

from session_worker.memory import KEPT_SECONDS, Memory
from session_worker.turn import STORE_AGAIN
from wire.messages import Check, Deliver, Discard, Lookup, Question
from wire.outcomes import Delivered, Discarded, Failed, Found, NoSuchUser, NotOurDomain, Outcome, TimedOut, Writable

MARIA = Lookup("maria", "example.com")
FOUND = Found("maria@example.com", True)


def test_an_address_that_was_found_is_known_for_a_moment() -> None:
    memory = Memory()
    assert memory.recall(MARIA, 10.0) is None
    memory.learn(MARIA, FOUND, 10.0)
    assert memory.recall(MARIA, 10.0 + KEPT_SECONDS * 0.9) == FOUND
    assert memory.recall(MARIA, 10.0 + KEPT_SECONDS) is None
    assert memory.recall(Lookup("joao", "example.com"), 10.0) is None


def test_the_store_and_the_worker_together_see_a_change_within_a_second() -> None:
    from mailbox_store.users_file import _INTERVAL

    assert _INTERVAL + KEPT_SECONDS < 1.0
    # What the gateway gives again, the store itself has just said.
    assert _INTERVAL + STORE_AGAIN / 1000 < 1.0


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        (Lookup("postmaster", ""), FOUND),
        (MARIA, NoSuchUser()),
        (MARIA, NotOurDomain()),
        (MARIA, Failed("trouble", "")),
        (MARIA, TimedOut()),
        (Check(("maria@example.com",)), Writable()),
        (Deliver("s.1", 0, "", ("maria@example.com",), b"", 0, b""), Delivered(False)),
        (Discard("s.1"), Discarded()),
    ],
)
def test_nothing_else_is_remembered(question: Question, outcome: Outcome) -> None:
    memory = Memory()
    memory.learn(question, outcome, 10.0)
    assert memory.recall(question, 10.0) is None


def test_however_many_addresses_there_are_it_keeps_few() -> None:
    memory = Memory()
    for number in range(10_000):
        memory.learn(Lookup(f"user{number}", "example.com"), FOUND, 10.0)
    known = sum(memory.recall(Lookup(f"user{number}", "example.com"), 10.0) is not None for number in range(10_000))
    assert 0 < known <= 2048
