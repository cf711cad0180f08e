"""Whose losses count: a step that kills is found, and one that merely was there is not taken for it."""

from __future__ import annotations

import pytest

from gateway.workers.blame import HINDSIGHT, Inquest
from gateway.workers.members import MAX_LOSSES, MAX_TRIES, Case

NEAR = 0.4
LATER = 10.0


def lose(inquest: Inquest, now: float, *suspects: Case, alone: bool = False) -> None:
    inquest.lost(now, suspects, suspects, alone=alone)


def counted(inquest: Inquest, record: Case, now: float = 1000) -> int:
    inquest.decide(now)
    assert record.undecided == 0
    return record.counted


def test_a_loss_counts_when_nothing_else_was_lost_near_it() -> None:
    inquest, record = Inquest(), Case()
    lose(inquest, 0, record)
    assert (record.suspected, record.undecided) == (1, 1)
    assert counted(inquest, record) == 1


def test_it_is_not_decided_before_all_can_be_known() -> None:
    inquest, record = Inquest(), Case()
    lose(inquest, 0, record)
    inquest.decide(HINDSIGHT - 0.01)
    assert (record.counted, record.undecided) == (0, 1)
    inquest.decide(HINDSIGHT)
    assert (record.counted, record.undecided) == (1, 0)


@pytest.mark.parametrize(
    ("other", "alone", "counts"),
    [
        (-5.1, False, True),
        (-4.9, False, False),
        (-NEAR, False, False),
        (NEAR, False, False),
        (HINDSIGHT + 0.1, False, True),
        (-4.9, True, True),
        (-NEAR, True, False),
        (NEAR, True, False),
        (HINDSIGHT + 0.1, True, True),
    ],
)
def test_a_worker_lost_near_it_without_the_step_says_that_something_else_kills(
    other: float, alone: bool, counts: bool
) -> None:
    inquest, record = Inquest(), Case()
    for when in sorted((0, other)):
        if when == 0:
            lose(inquest, 0, record, alone=alone)
        else:
            lose(inquest, when)
    assert counted(inquest, record) == counts


@pytest.mark.parametrize("suspected", [True, False])
def test_a_worker_lost_near_it_with_the_step_says_nothing(suspected: bool) -> None:
    inquest, record = Inquest(), Case()
    inquest.lost(0, [record], [record] if suspected else [], alone=False)
    lose(inquest, NEAR, record)
    assert counted(inquest, record) == 1 + suspected


def test_steps_that_kill_and_run_alone_do_not_excuse_each_other() -> None:
    inquest, one, two = Inquest(), Case(), Case()
    lose(inquest, 0, one, alone=True)
    lose(inquest, NEAR, two, alone=True)
    assert (counted(inquest, one), counted(inquest, two)) == (1, 1)


def test_what_a_poisoned_step_has_killed_excuses_nobody() -> None:
    inquest, poison, other = Inquest(), Case(), Case()
    for turn in range(MAX_LOSSES):
        lose(inquest, LATER + turn, poison)
    lose(inquest, LATER + 4, other)
    assert counted(inquest, poison, LATER + 3.9) == MAX_LOSSES
    assert poison.poison
    assert counted(inquest, other) == 1


def test_a_step_that_was_tried_too_often_explains_nobody_s_death() -> None:
    inquest, tired, other = Inquest(), Case(tries=MAX_TRIES), Case()
    lose(inquest, 0, tired)
    lose(inquest, NEAR, other)
    assert (counted(inquest, tired), counted(inquest, other)) == (0, 0)


def test_a_step_is_run_alone_after_two_suspicions_and_rests_until_they_are_decided() -> None:
    inquest, record = Inquest(), Case()
    lose(inquest, 0, record)
    assert (record.alone, record.may_run) == (False, True), "the first time it is run again at once"
    lose(inquest, 0.1, record)
    assert (record.alone, record.may_run) == (True, False)
    inquest.decide(HINDSIGHT)
    assert not record.may_run
    inquest.decide(HINDSIGHT + 0.1)
    assert (record.alone, record.may_run, record.poison) == (True, True, False)


def test_the_third_loss_that_counts_is_the_last() -> None:
    inquest, record = Inquest(), Case()
    for turn in range(MAX_LOSSES):
        assert not record.poison
        lose(inquest, LATER * turn, record)
        inquest.decide(LATER * turn + HINDSIGHT)
    assert (record.poison, record.may_run) == (True, False)


def test_wrong_answers_count_at_once() -> None:
    record = Case()
    for _ in range(MAX_LOSSES):
        assert not record.poison
        record.answered_wrongly()
    assert record.poison


def test_no_step_is_tried_forever() -> None:
    record = Case(tries=MAX_TRIES - 1)
    assert not record.poison
    record.tries += 1
    assert record.poison


def test_what_is_long_past_is_forgotten_but_not_while_it_is_needed() -> None:
    inquest, record = Inquest(), Case()
    for turn in range(1000):
        lose(inquest, turn / 100)
    lose(inquest, 12, record)
    # Late, as after a time in which the gateway stood still.
    assert counted(inquest, record, 60) == 0
    assert not inquest._losses
