"""Steps find a worker that does them, or an answer that is known; what makes no sense harms nobody."""

from __future__ import annotations

import logging
import re
import tracemalloc

import pytest
import zmq

from gateway.workers.dispatcher import Known, KnownAnswers, Progress, impossible, session_ids
from runtime.bus import open_socket
from tests.conditions import until
from tests.gateway.fakes import gateway, mute, parrot
from wire.codec import encode
from wire.limits import MAX_ID, SMALL_STEP
from wire.messages import (
    Ahead,
    Body,
    Client,
    Close,
    Connected,
    Injected,
    Lines,
    Ping,
    Pong,
    ReadBody,
    ReadLines,
    Step,
    StepDone,
    StepRefused,
    Told,
    WorkerAlive,
)
from wire.records import replace


async def test_an_answer_that_cannot_be_is_dropped_and_the_step_is_done_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        async with gateway() as running:
            worker = await running.worker()
            client = await running.greeted()
            lies = iter([7])
            worker.script = lambda step: replace(parrot(step), consumed=next(lies, 1))
            assert await client.ask(b"hello\r\n") == b"250 1 hello"
            assert worker.steps[1] == worker.steps[2]
    assert "cannot be: 7 lines used, the step had 1" in caplog.text


async def test_a_repeated_step_is_the_same_to_its_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with gateway() as running:
        first = await running.worker(b"w1")
        client = await running.greeted()
        first.script = mute
        client.send(b"hello\r\n")
        await until(lambda: len(first.steps) == 2, "for the step")
        second = await running.worker(b"w2")
        await until(lambda: caplog.text.count(" is here") == 2, "for the second worker")
        first.leave()
        await client.line()
        assert second.steps[0] == first.steps[1]
        assert second.steps[0].time > 1_600_000_000_000


async def test_garbage_on_the_bus_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with gateway() as running:
            worker = await running.worker()
            client = await running.greeted()
            session = worker.steps[0].session
            stranger = open_socket(running.context, zmq.DEALER, b"stranger")
            stranger.connect(running.endpoint)
            for frames in (
                [b""],
                [b"correio/1", b"\xc1"],
                [b"correio/2", b"\x90"],
                encode([Ping(), Pong("x"), Step(session, 1, 0, b"", Connected())]),
                encode([StepDone(session, 1, 0, b"", b"250 forged\r\n", ReadLines())]),
                encode([StepRefused(session, 1, "state"), StepRefused("unknown", 0, "draining")]),
            ):
                stranger.send_multipart(frames)
            worker.say(Pong("out of place"))
            worker.say(StepDone("unknown", 0, 0, b"", b"", Close()))
            await until(
                lambda: "dropped what worker stranger said: nobody waits for it to refuse step 0" in caplog.text
            )
            assert await client.ask(b"hello\r\n") == b"250 1 hello"
            stranger.close(0)
    assert "a Pong is nothing that a worker says" in caplog.text
    assert "nobody waits for it to do step 1" in caplog.text


async def test_a_worker_that_comes_back_under_its_name_with_a_new_connection_is_served() -> None:
    async with gateway() as running:
        first = await running.worker(b"same")
        client = await running.greeted()
        first.script = mute
        client.send(b"hello\r\n")
        await until(lambda: len(first.steps) == 2, "for the step")
        first.leave()
        await running.worker(b"same")
        assert await client.line() == b"250 1 hello"


async def test_work_is_spread_over_workers_and_a_draining_one_gets_none() -> None:
    async with gateway() as running:
        workers = [await running.worker(name) for name in (b"w1", b"w2", b"w3")]
        clients = [await running.greeted() for _ in range(6)]
        for client in clients:
            await client.ask(b"a\r\n")
        assert min(len(worker.steps) for worker in workers) >= 2
        workers[0].draining = True
        workers[0].say(WorkerAlive("test", draining=True))
        # If it gets a step before that has come, it has come before its answer.
        for client in clients:
            await client.ask(b"b\r\n")
        before = len(workers[0].steps)
        for client in clients:
            await client.ask(b"c\r\n")
        assert len(workers[0].steps) == before


# ---------------------------------------------------------------- answers that hold for a while

LINES = (b"NOOP", b"rset")
STEP = Step("s-1", 1, 0, b"state", Lines(LINES), client=Client("::1"))
DONE = StepDone("s-1", 1, 2, b"after", b"250 ok\r\n250-so\r\n250 be it\r\n", ReadLines(), holds=250)


def known(step: Step = STEP, done: StepDone = DONE) -> KnownAnswers:
    answers = KnownAnswers()
    answers.learn(step, done, b"w1", 10.0)
    return answers


def find(answers: KnownAnswers, now: float = 10.0, step: Step = STEP) -> Known | None:
    assert isinstance(step.input, Lines)
    return answers.find(step.state, step.input.lines, now)


def test_an_answer_is_given_again_for_so_long_as_its_worker_said_from_when_its_step_began() -> None:
    answers = known()
    found = find(answers, 10.249)
    assert found is not None
    assert (found.done, found.worker) == (DONE, b"w1")
    assert find(answers, 10.25) is None
    # Another client in the same state is answered the same.
    assert find(answers, step=replace(STEP, client=Client("::2"))) is not None


@pytest.mark.parametrize(
    "other",
    [
        replace(STEP, state=b"other"),
        replace(STEP, input=Lines((b"NOOP",))),
        replace(STEP, input=Lines((b"noop", b"rset"))),
        replace(STEP, input=Lines((b"NOOP", b"rset", b""))),
        replace(STEP, input=Lines((b"NOOP", None))),
    ],
)
def test_it_is_given_to_exactly_the_same_lines_in_the_same_state(other: Step) -> None:
    assert find(known(), step=other) is None


@pytest.mark.parametrize(
    ("step", "done"),
    [
        (STEP, replace(DONE, holds=0)),
        (STEP, replace(DONE, state=bytes(SMALL_STEP))),
        (STEP, replace(DONE, next=Injected(1, "delay", ReadLines()))),
        (replace(STEP, input=Body(b"", 0, last=True)), replace(DONE, consumed=0)),
        (replace(STEP, input=Connected()), replace(DONE, consumed=0)),
    ],
)
def test_what_does_not_hold_or_is_large_or_late_or_answers_no_lines_is_not_given_again(
    step: Step, done: StepDone
) -> None:
    assert find(known(step, done)) is None


def test_a_later_answer_takes_the_place_of_an_earlier_one() -> None:
    answers = known()
    answers.learn(STEP, replace(DONE, replies=b"250 new\r\n"), b"w2", 10.1)
    found = find(answers, 10.3)
    assert found is not None
    assert (found.done.replies, found.worker) == (b"250 new\r\n", b"w2")


def test_nothing_is_given_again_once_it_is_to_be_forgotten() -> None:
    answers = known()
    answers.forget()
    assert find(answers) is None


def test_answers_are_bounded_by_what_they_take_and_the_latest_is_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.workers.dispatcher._ANSWERS", 2 * 2**20)
    answers = KnownAnswers()
    done = replace(DONE, consumed=30, replies=b"250 2.0.0 Ok\r\n" * 30)
    tracemalloc.start()
    try:
        for number in range(1000):
            # Octets of its own, as those that a client sends have.
            lines = tuple(bytes(bytearray(b"RSET")) for _ in range(30))
            step = replace(STEP, state=b"%0100d" % number, input=Lines(lines))
            told = tuple(Told("RSET " + str(number), 250) for _ in lines)
            answers.learn(step, replace(done, state=b"%0100d" % number, told=told), b"w1", 10.0)
            assert find(answers, step=step) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 2**20 < peak < 2.5 * 2**20


# ---------------------------------------------------------------- what a session brings, and what an answer may be

TWO_LINES = Lines((b"a", b"b"))


@pytest.mark.parametrize(
    ("spoken", "consumed", "then", "wrong"),
    [
        (TWO_LINES, 2, ReadLines(), False),
        (TWO_LINES, 1, ReadBody(1), False),
        (TWO_LINES, 0, Close(), False),
        (TWO_LINES, 3, ReadLines(), True),
        (TWO_LINES, 0, ReadLines(), True),
        (TWO_LINES, 0, ReadBody(1), True),
        (Connected(), 0, ReadLines(), False),
        (Connected(), 1, ReadLines(), True),
        (Body(b"", 0, last=False), 0, ReadBody(1), False),
        (Body(b"", 0, last=False), 0, Close(), False),
        (Body(b"", 0, last=False), 0, ReadLines(), True),
        (Body(b"", 0, last=True), 0, ReadLines(), False),
        (Body(b"", 0, last=True), 1, ReadLines(), True),
    ],
)
def test_an_answer_must_fit_its_step(
    spoken: Lines | Connected | Body, consumed: int, then: ReadLines | ReadBody | Close, wrong: bool
) -> None:
    step = Step("s", 1, 0, b"", spoken)
    used = consumed + (isinstance(spoken, Body) and spoken.last)
    done = StepDone("s", 1, consumed, b"", b"", then, told=(Told("", 250),) * used)
    assert bool(impossible(step, done)) is wrong
    # What is not told of may be a secret.
    assert impossible(step, replace(done, told=(*done.told, Told("", 250))))
    if used:
        assert impossible(step, replace(done, told=()))


def test_ids_are_48_random_bits_and_a_number_and_leave_room_for_that_of_a_transaction() -> None:
    first, second = session_ids(), session_ids()
    ids = [next(first), next(first), next(second)]
    assert re.fullmatch(r"[0-9a-f]{12}-1", ids[0])
    assert ids[1] == ids[0][:-1] + "2"
    assert ids[2][:12] != ids[0][:12]
    assert len(ids[0]) < MAX_ID - 40


def test_steps_are_numbered_and_bring_the_message_s_number_and_what_the_latest_answer_left() -> None:
    session = Progress("s-1", lambda: 1.25)
    session.client = Client("::1")
    session.skip()
    first = session.begin(Lines((b"a",)))
    assert (first.seq, first.time, first.state, first.carry, first.message) == (1, 1250, b"", b"", 1)
    done = StepDone("s-1", 1, 1, b"one", b"", ReadBody(9), in_transaction=True, carry=b"carried")
    assert session.end(done) is first
    session.take(done)
    session.take(replace(done, state=b"two", carry=None))
    piece = session.begin(Body(b"x", 0, last=False))
    assert session.body_open
    session.end(done)
    end = session.begin(Body(b"x", 1, last=True))
    assert not session.body_open
    session.end(done)
    assert [(step.seq, step.state, step.carry, step.message) for step in (piece, end)] == [
        (2, b"two", b"carried", 1), (3, b"two", b"carried", 1),
    ]  # fmt: skip
    assert session.begin(Lines((b"b",))).message == 2
    assert (end.client, session.in_transaction) == (Client("::1"), True)


def test_an_answer_that_is_given_ahead_is_known_in_the_state_after_it_and_for_its_own_time() -> None:
    following = replace(STEP, state=DONE.state, input=Lines((b"DATA",)))
    done = replace(DONE, consumed=1, told=(Told("DATA", 354),), state=b"reading", holds=50)
    answers = known(STEP, replace(DONE, holds=0, ahead=Ahead((b"DATA",), done)))
    assert find(answers) is None
    assert find(answers, 10.04, following) == Known(done, b"w1", 10.05)
    assert find(answers, 10.05, following) is None
    untold = known(STEP, replace(DONE, ahead=Ahead((b"DATA",), replace(done, told=()))))
    assert find(untold, 10.0, following) is None
