"""Answers that are known: taken for exactly what they are for, in time; all else is a step."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.answers import Answers, foreseen
from tests.gateway.fakes import LIMIT, Client, FakeWorker, gateway, parrot, run, until
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
    assert foreseen((DATA, QUIT), spoken, now) == found


def seer(until: int | None = None) -> Callable[[Step], StepDone]:
    """A worker that, like the parrot, counts steps, and foresees DATA after OPEN and QUIT after a message."""

    def script(step: Step) -> StepDone:
        done = parrot(step)
        holds = step.time + 900
        if isinstance(step.input, Lines) and step.input.lines == (b"OPEN",):
            return replace(done, foreseen=(replace(DATA, until=holds if until is None else until),))
        return replace(done, foreseen=(replace(QUIT, until=holds),)) if isinstance(step.input, Body) else done

    return script


@asynccontextmanager
async def scene(until: int | None = None) -> AsyncIterator[tuple[FakeWorker, Client]]:
    """A gateway with that worker, and a client that has been greeted."""
    async with gateway() as running:
        worker = await running.worker()
        worker.script = seer(until)
        yield worker, await running.greeted()


def test_a_foreseen_line_takes_no_step_and_the_next_step_begins_where_it_ends() -> None:
    async def test() -> None:
        async with scene() as (worker, client):
            assert await client.ask(b"OPEN\r\n") == b"250 1 OPEN"
            assert await client.ask(b"DATA\r\n") == b"354 foreseen"
            client.send(b"hello\r\n.\r\n")
            assert await client.line() == b"250 6 octets"
            assert await client.ask(b"QUIT\r\n") == b"221 foreseen"
            assert await client.rest() == b""
            assert [step.input for step in worker.steps] == [
                Connected("127.0.0.1"), Lines((b"OPEN",)), Body(b"hello\n", 0, last=True),
            ]  # fmt: skip
            assert [step.seq for step in worker.steps] == [0, 1, 2]
            assert [step.state for step in worker.steps] == [b"", b"1", b"7"]

    run(test())


def test_what_is_said_behind_a_foreseen_line_is_read_as_its_answer_wants() -> None:
    async def test() -> None:
        async with scene() as (_, client):
            assert await client.ask(b"OPEN\r\n") == b"250 1 OPEN"
            client.send(b"DATA\r\n..text\r\n.\r\nQUIT\r\n")
            assert await client.line() == b"354 foreseen"
            assert await client.line() == b"250 6 octets"
            assert await client.rest() == b"221 foreseen\r\n"

    run(test())


@pytest.mark.parametrize("said", [b"DATA", b"dAtA", b"other"])
def test_what_comes_too_late_or_is_written_otherwise_is_a_step(said: bytes) -> None:
    async def test() -> None:
        past = int(time.time() * 1000) - 1
        async with scene(past if said == b"DATA" else None) as (worker, client):
            await client.ask(b"OPEN\r\n")
            assert await client.ask(said + b"\r\n") == (b"354 go" if said == b"DATA" else b"250 2 " + said)
            assert worker.steps[-1].input == Lines((said,))

    run(test())


def test_answers_are_void_once_anything_else_was_said() -> None:
    async def test() -> None:
        async with scene() as (_, client):
            await client.ask(b"OPEN\r\n")
            assert await client.ask(b"other\r\n") == b"250 2 other"
            assert await client.ask(b"DATA\r\n") == b"354 go"

    run(test())


# ---------------------------------------------------------------- answers given a moment ago

STEP = Step("s-1", 1, 0, b"state", Lines((b"NOOP", b"rset")), "")
DONE = StepDone("s-1", 1, 2, b"after", b"250 ok\r\n250-so\r\n250 be it\r\n", ReadLines(), again=250)


def known(step: Step = STEP, done: StepDone = DONE) -> Answers:
    answers = Answers()
    answers.learn(step, done, b"w1", 10.0)
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


@pytest.mark.parametrize(
    ("step", "done"),
    [
        (STEP, replace(DONE, again=0)),
        (STEP, replace(DONE, consumed=1)),
        (STEP, replace(DONE, replies=b"250 only one\r\n")),
        (STEP, replace(DONE, replies=DONE.replies + b"250 one more\r\n")),
        (STEP, replace(DONE, next=Injected(1, "x", ReadLines()))),
        (STEP, replace(DONE, state=bytes(10_000))),
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
    answers.learn(STEP, replace(DONE, state=b"newer"), b"w2", 10.2)
    found = answers.find(b"state", "", (b"NOOP", b"rset"), 10.3)
    assert found is not None
    assert (found.done.state, found.worker) == (b"newer", b"w2")


def test_what_is_kept_is_bounded() -> None:
    answers = Answers()
    for number in range(5000):
        answers.learn(replace(STEP, state=b"%d" % number), DONE, b"w1", 10.0)
    kept = [number for number in range(5000) if answers.find(b"%d" % number, "", (b"NOOP", b"rset"), 10.0)]
    assert 0 < len(kept) <= 1024
    assert kept[-1] == 4999


def repeater(again: int) -> Callable[[Step], StepDone]:
    """A worker that answers NOOP always the same, and with the state that it found; all else as the parrot."""

    def script(step: Step) -> StepDone:
        done = parrot(step)
        if isinstance(step.input, Lines) and step.input.lines[0] == b"NOOP":
            return replace(done, state=step.state, replies=b"250 same\r\n" * len(step.input.lines), again=again)
        return done

    return script


def test_sessions_that_say_the_same_in_the_same_state_take_one_step() -> None:
    async def test() -> None:
        async with gateway() as running:
            worker = await running.worker()
            worker.script = repeater(60_000)
            clients = [await running.greeted() for _ in range(3)]
            for client in clients:
                assert await client.ask(b"NOOP\r\n") == b"250 same"
                assert await client.ask(b"NOOP\r\n") == b"250 same"
            assert worker.inputs(Lines) == [Lines((b"NOOP",))]
            # The next step goes on from the state that was answered, and its number is the next.
            assert await clients[2].ask(b"other\r\n") == b"250 1 other"

    run(test())


def test_once_the_time_is_over_a_worker_is_asked_again() -> None:
    async def test() -> None:
        async with gateway() as running:
            worker = await running.worker()
            worker.script = repeater(1)
            client = await running.greeted()
            for _ in range(2):
                assert await client.ask(b"NOOP\r\n") == b"250 same"
                end = time.monotonic() + 0.001
                await until(lambda end=end: time.monotonic() > end)  # type: ignore[misc]
            assert worker.inputs(Lines) == [Lines((b"NOOP",))] * 2

    run(test())


def test_a_client_that_says_much_at_once_takes_turns_with_the_others() -> None:
    async def test() -> None:
        async with gateway() as running:
            worker = await running.worker()
            worker.script = repeater(60_000)
            client = await running.greeted()
            group = (b"NOOP",) * 128
            client.send(b"NOOP\r\n" * 128)
            for _ in group:
                assert await client.line() == b"250 same"
            client.send(b"NOOP\r\n" * 128 * 40)
            for _ in group * 40:
                assert await client.line() == b"250 same"
            steps = worker.inputs(Lines).count(Lines(group))
            # 128 replies are 1280 octets; after some 4 KiB of them a step is waited for.
            assert 1 < steps < 20, steps

    run(test())
