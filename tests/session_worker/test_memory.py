"""What a worker remembers of the store's answers: what was found in its epoch, while it names that one."""

from __future__ import annotations

import pytest

from session_worker.dialogue.turn import STORE_AGAIN
from session_worker.memory import Memory
from wire.limits import EPOCH_SECONDS
from wire.messages import Check, Deliver, Discard, Lookup, Question
from wire.outcomes import Delivered, Discarded, Failed, Found, NoSuchUser, NotOurDomain, Outcome, TimedOut, Writable

MARIA = Lookup("maria", "example.com")
JOAO = Lookup("joao", "example.com")
FOUND = Found("maria@example.com", True, 7)
DISCARD = Discard("s.1")


def test_an_address_that_was_found_is_known_for_a_moment() -> None:
    memory = Memory()
    assert memory.recall(MARIA, 10.0) is None
    memory.learn(MARIA, FOUND, 7, 10.0)
    assert memory.recall(MARIA, 10.0 + EPOCH_SECONDS * 0.9) == FOUND
    assert memory.recall(MARIA, 10.0 + EPOCH_SECONDS) is None
    assert memory.recall(JOAO, 10.0) is None


def test_it_is_known_as_long_as_the_store_names_the_epoch_whatever_it_was_asked() -> None:
    memory = Memory()
    memory.learn(MARIA, FOUND, 7, 10.0)
    memory.learn(DISCARD, Discarded(), 7, 900.0)
    assert memory.recall(MARIA, 900.0) == FOUND
    # The first answer was only late.
    memory.learn(DISCARD, Discarded(), 7, 20.0)
    assert memory.recall(MARIA, 900.0 + EPOCH_SECONDS * 0.9) == FOUND
    assert memory.recall(MARIA, 900.0 + EPOCH_SECONDS) is None


@pytest.mark.parametrize("epoch", [8, 6, 0])
def test_with_another_epoch_everything_is_forgotten(epoch: int) -> None:
    memory = Memory()
    memory.learn(MARIA, FOUND, 7, 10.0)
    memory.learn(DISCARD, Discarded(), epoch, 10.0)
    assert memory.recall(MARIA, 10.0) is None
    assert memory.recall(Check(("maria@example.com",), 7), 10.0) is None
    memory.learn(DISCARD, Discarded(), 7, 10.0)
    assert memory.recall(MARIA, 10.0) is None


def test_mailboxes_that_could_be_written_in_the_epoch_still_can() -> None:
    memory = Memory()
    question = Check(("maria@example.com", "joao@example.com"), 7)
    assert memory.recall(question, 10.0) is None
    memory.learn(MARIA, FOUND, 7, 10.0)
    assert memory.recall(question, 10.0) == Writable(7)
    assert memory.recall(question, 10.0 + EPOCH_SECONDS) is None
    assert memory.recall(Check(("maria@example.com",)), 10.0) is None
    assert memory.recall(Check(("maria@example.com",), 8), 10.0) is None


def test_how_old_what_is_said_may_be() -> None:
    from mailbox_store.epoch import _UNWATCHED
    from mailbox_store.users.users_file import _INTERVAL

    # A change of the list of users is promised to be taken over within a second; the rest is in wire/SPEC.md.
    assert 2 * _INTERVAL + EPOCH_SECONDS < 1.0
    assert EPOCH_SECONDS == STORE_AGAIN / 1000 == 0.25
    assert _UNWATCHED == 0.25


@pytest.mark.parametrize(
    ("question", "outcome", "epoch"),
    [
        (Lookup("postmaster", ""), FOUND, 7),
        (MARIA, Found("maria@example.com", True, 7), 0),
        (MARIA, Found("maria@example.com", True, 0), 0),
        (MARIA, Found("maria@example.com", True, 0), 7),
        (MARIA, NoSuchUser(), 7),
        (MARIA, NotOurDomain(), 7),
        (MARIA, Failed("trouble", ""), 7),
        (MARIA, TimedOut(), 7),
        (Check(("maria@example.com",)), Writable(7), 7),
        (Deliver("s.1", 0, "", ("maria@example.com",), b"", 0, b""), Delivered(False), 7),
        (DISCARD, Discarded(), 7),
    ],
)
def test_nothing_else_is_remembered(question: Question, outcome: Outcome, epoch: int) -> None:
    memory = Memory()
    memory.learn(question, outcome, epoch, 10.0)
    assert memory.recall(question, 10.0) is None


def test_ten_thousand_recipients_are_known_and_however_many_there_are_not_all() -> None:
    memory = Memory()

    def known() -> list[int]:
        return [n for n in range(100_000) if memory.recall(Lookup(f"user{n}", "mail.example.com"), 10.0)]

    for number in range(100_000):
        found = Found(f"user{number}@mail.example.com", True, 7)
        memory.learn(Lookup(f"user{number}", "mail.example.com"), found, 7, 10.0)
        # Again costs nothing more.
        memory.learn(Lookup(f"user{number}", "mail.example.com"), found, 7, 10.0)
        if number == 9_999:
            assert len(known()) == 10_000
    assert 0 < len(known()) < 20_000
    assert known()[-1] == 99_999
