"""Answers that are known: found for exactly what they are for, in time, and bounded."""

from __future__ import annotations

import tracemalloc

import pytest

from gateway.workers.answers import Answers
from tests.gateway.fakes import LIMIT
from wire.messages import (
    Body,
    Close,
    Connected,
    Foreseen,
    Injected,
    Input,
    Lines,
    ReadBody,
    ReadLines,
    Step,
    StepDone,
)
from wire.records import replace

DATA = Foreseen((b"DATA", b"data"), 1000, b"7", b"354 foreseen\r\n", ReadBody(LIMIT), True)
QUIT = Foreseen((b"QUIT",), 1500, b"", b"221 foreseen\r\n", Close())


@pytest.mark.parametrize(
    ("spoken", "now", "found"),
    [
        (Lines((b"DATA",)), 1000, DATA),
        (Lines((b"data", b"text")), 0, DATA),
        (Lines((b"QUIT",)), 1500, QUIT),
        (Lines((b"QUIT",)), 499, None),
        (Lines((b"DATA",)), 1001, None),
        (Lines((b"DATA ",)), 0, None),
        (Lines((b"Data",)), 0, None),
        (Lines((b"NOOP", b"DATA")), 0, None),
        (Lines((None,)), 0, None),
        (Body(b"DATA", 0, last=True), 0, None),
        (Connected("::1"), 0, None),
    ],
)
def test_an_answer_is_found_for_its_line_while_it_holds(spoken: Input, now: int, found: Foreseen | None) -> None:
    assert Answers().foreseen((DATA, QUIT), spoken, now, 10.0) == found


@pytest.mark.parametrize(
    ("heard", "begun", "found"), [(7, 9.76, True), (7, 9.75, False), (8, 10.0, False), (0, 10.0, False)]
)
def test_one_with_an_epoch_is_found_while_the_store_names_that(heard: int, begun: float, found: bool) -> None:
    seen = replace(DATA, epoch=7)
    answers = Answers()
    answers.hear(heard, begun)
    # The time of day does not matter.
    assert answers.foreseen((seen,), Lines((b"DATA",)), 10**15, 10.0) == (seen if found else None)


# ---------------------------------------------------------------- answers given before

STEP = Step("s-1", 1, 0, b"state", Lines((b"NOOP", b"rset")), "")
DONE = StepDone("s-1", 1, 2, b"after", b"250 ok\r\n250-so\r\n250 be it\r\n", ReadLines(), again=250)


def known(step: Step = STEP, done: StepDone = DONE) -> Answers:
    answers = Answers()
    answers.learn(step, done, b"w1", 10.0, seen_before=True)
    return answers


def test_an_answer_is_given_again_to_the_same_lines_in_the_same_state_until_its_time_is_over() -> None:
    answers = known()
    found = answers.find(b"state", "", (b"NOOP", b"rset"), 10.249)
    assert found is not None
    assert (found.done, found.worker) == (DONE, b"w1")
    assert found.counted == ((b"NOOP", b"250"), (b"RSET", b"250"))
    assert answers.find(b"state", "", (b"NOOP", b"rset"), 10.25) is None
    for state, peer, lines in (
        (b"other", "", (b"NOOP", b"rset")),
        (b"state", "::1", (b"NOOP", b"rset")),
        (b"state", "", (b"NOOP",)),
        (b"state", "", (b"noop", b"rset")),
        (b"state", "", (b"NOOP", b"rset", b"")),
    ):
        assert answers.find(state, peer, lines, 10.0) is None


def test_one_that_rests_on_the_store_is_given_as_long_as_its_epoch_lasts() -> None:
    answers = known(done=replace(DONE, epoch=7))
    lines = (b"NOOP", b"rset")
    # Nobody had heard yet which epoch it is: the worker may have remembered an older one.
    answers.hear(7, 10.0)
    assert answers.find(b"state", "", lines, 10.0) is None
    answers.learn(STEP, replace(DONE, epoch=7, again=0), b"w1", 10.1, seen_before=True)
    for begun in (10.0, 10.2, 99.0, 5000.0):
        answers.hear(7, begun)
        assert answers.find(b"state", "", lines, begun + 0.249) is not None
        assert answers.find(b"state", "", lines, begun + 0.25) is None
    # What an older step has heard is older.
    answers.hear(6, 4999.0)
    assert answers.find(b"state", "", lines, 5000.1) is not None
    answers.hear(8, 5000.0)
    answers.hear(7, 5000.1)
    assert answers.find(b"state", "", lines, 5000.1) is None


def test_a_worker_that_has_not_heard_of_the_epoch_yet_takes_no_answer_from_those_that_have() -> None:
    answers = Answers()
    answers.hear(8, 10.0)
    answers.learn(STEP, replace(DONE, epoch=8), b"w1", 10.0, seen_before=True)
    answers.learn(STEP, replace(DONE, epoch=7, again=0), b"w2", 10.1, seen_before=True)
    found = answers.find(b"state", "", (b"NOOP", b"rset"), 10.2)
    assert found is not None
    assert found.worker == b"w1"


def test_an_answer_names_the_epoch_that_its_step_has_heard() -> None:
    answers = Answers()
    answers.learn(STEP, replace(DONE, epoch=8, heard=8), b"w1", 10.0, seen_before=True)
    assert answers.find(b"state", "", (b"NOOP", b"rset"), 10.2) is not None
    # What cannot be given again tells it as well.
    answers.learn(STEP, replace(DONE, again=0, heard=8), b"w1", 99.0, seen_before=False)
    assert answers.find(b"state", "", (b"NOOP", b"rset"), 99.2) is not None


def test_a_new_epoch_ends_nothing_that_does_not_rest_on_it() -> None:
    answers = known()
    answers.hear(7, 10.1)
    assert answers.find(b"state", "", (b"NOOP", b"rset"), 10.2) is not None


def test_many_short_lines_weigh_what_they_take() -> None:
    answers = Answers()
    answers.hear(7, 10.0)
    done = replace(DONE, consumed=30, replies=b"250 2.0.0 Ok\r\n" * 30, epoch=7)
    tracemalloc.start()
    try:
        for number in range(10_000):
            # Octets of its own, as those that a client sends have.
            lines = tuple(bytes(bytearray(b"RSET")) for _ in range(30))
            step = replace(STEP, state=b"%0100d" % number, input=Lines(lines))
            answers.learn(step, replace(done, state=b"%0100d" % number), b"w1", 10.0, seen_before=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 10 * 2**20 < peak < 24 * 2**20


def test_nothing_is_given_again_once_it_is_to_be_forgotten() -> None:
    answers = known()
    answers.forget()
    assert answers.find(b"state", "", (b"NOOP", b"rset"), 10.0) is None


@pytest.mark.parametrize(
    ("step", "done"),
    [
        (STEP, replace(DONE, again=0)),
        (STEP, replace(DONE, consumed=1)),
        (STEP, replace(DONE, replies=b"250 only one\r\n")),
        (STEP, replace(DONE, replies=DONE.replies + b"250 one more\r\n")),
        (STEP, replace(DONE, next=Injected(1, "x", ReadLines()))),
        (STEP, replace(DONE, state=bytes(40_000))),
        (replace(STEP, input=Lines((b"NOOP", None))), DONE),
        (replace(STEP, input=Lines((b"NOOP", b"verbose"))), DONE),
        (replace(STEP, input=Body(b"", 0, last=True)), replace(DONE, consumed=0, replies=b"")),
    ],
)
def test_what_cannot_be_given_again_or_not_be_counted_is_not_kept(step: Step, done: StepDone) -> None:
    lines = step.input.lines if isinstance(step.input, Lines) else ()
    assert known(step, done).find(b"state", "", lines, 10.0) is None


def test_the_newest_answer_counts() -> None:
    answers = known()
    answers.learn(STEP, replace(DONE, state=b"newer"), b"w2", 10.2, seen_before=True)
    found = answers.find(b"state", "", (b"NOOP", b"rset"), 10.3)
    assert found is not None
    assert (found.done.state, found.worker) == (b"newer", b"w2")


LINES = (b"NOOP", b"rset")


def learn(answers: Answers, numbers: range, size: int = 100, epoch: int = 0) -> None:
    for number in numbers:
        state = b"%0*d" % (size, number)
        answers.learn(replace(STEP, state=state), replace(DONE, epoch=epoch), b"w1", 10.0, seen_before=True)


def kept(answers: Answers, numbers: range, size: int = 100) -> list[int]:
    return [number for number in numbers if answers.find(b"%0*d" % (size, number), "", LINES, 10.0)]


@pytest.mark.parametrize(("epoch", "all_of", "most"), [(0, 2000, 4000), (7, 10_000, 20_000)])
def test_many_answers_are_kept_and_however_many_there_are_not_all(epoch: int, all_of: int, most: int) -> None:
    answers = Answers()
    answers.hear(7, 10.0)
    learn(answers, range(all_of), epoch=epoch)
    # What is learned anew takes no more room.
    learn(answers, range(all_of), epoch=epoch)
    assert len(kept(answers, range(all_of))) == all_of
    learn(answers, range(50_000), epoch=epoch)
    assert 0 < len(kept(answers, range(50_000))) < most
    assert kept(answers, range(49_000, 50_000))[-1] == 49_999


def test_larger_answers_are_fewer() -> None:
    answers = Answers()
    answers.hear(7, 10.0)
    learn(answers, range(20_000), 4000, epoch=7)
    assert 0 < len(kept(answers, range(20_000), 4000)) < 20 * 1024 * 1024 / 4000


def test_what_lasts_for_an_epoch_is_not_forgotten_for_what_lasts_for_a_moment() -> None:
    answers = Answers()
    answers.hear(7, 10.0)
    learn(answers, range(5000), epoch=7)
    learn(answers, range(10_000, 100_000))
    assert len(kept(answers, range(5000))) == 5000


def test_who_came_where_nobody_was_is_not_followed() -> None:
    answers = Answers()
    answers.hear(7, 10.0)
    answers.learn(STEP, replace(DONE, epoch=7, again=0), b"w1", 10.0, seen_before=False)
    assert answers.find(b"state", "", LINES, 10.0) is None
    answers.learn(STEP, DONE, b"w1", 10.0, seen_before=False)
    assert answers.find(b"state", "", LINES, 10.0) is not None
