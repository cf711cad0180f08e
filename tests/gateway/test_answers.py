"""Answers that are known: taken for exactly what they are for, in time; all else is a step."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.answers import Answers
from tests.gateway.fakes import DEADLINE, LIMIT, Client, FakeWorker, gateway, parrot, run, until
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


def test_a_foreseen_answer_goes_with_its_worker() -> None:
    async def test() -> None:
        async with gateway() as running:
            workers = [await running.worker(name) for name in (b"w1", b"w2")]
            for worker in workers:
                worker.script = seer()
            client = await running.greeted()
            await client.ask(b"OPEN\r\n")
            (seen_by,) = [worker for worker in workers if worker.inputs(Lines)]
            (other,) = [worker for worker in workers if worker is not seen_by]
            seen_by.leave()
            # After so many steps of another client the gateway knows that one is left.
            second = await running.greeted()
            for _ in range(20):
                await second.ask(b"other\r\n")
            assert await client.ask(b"DATA\r\n") == b"354 go"
            assert Lines((b"DATA",)) in other.inputs(Lines)

    run(test())


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


def storekeeper(epoch: Callable[[], int]) -> Callable[[Step], StepDone]:
    """A worker that asks the store for all but EHLO; to NOOP the store's answer is the same in an epoch."""

    def script(step: Step) -> StepDone:
        done = replace(parrot(step), heard=epoch())
        if isinstance(step.input, Lines) and step.input.lines == (b"NOOP",):
            return replace(done, state=step.state, replies=b"250 same\r\n", epoch=epoch())
        return done

    return script


def test_what_the_store_has_said_is_the_answer_while_any_step_hears_of_its_epoch() -> None:
    async def test() -> None:
        async with gateway() as running:
            worker = await running.worker()
            epoch = 7
            worker.script = storekeeper(lambda: epoch)
            first, other = await running.greeted(), await running.greeted()

            async def noop(client: Client) -> int:
                """NOOP; gives how many were steps so far."""
                assert await client.ask(b"NOOP\r\n") == b"250 same"
                return worker.inputs(Lines).count(Lines((b"NOOP",)))

            assert await noop(first) == 1
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                # Another session's mail is enough.
                await other.ask(b"other\r\n")
                steps = await noop(first)
            # On a machine that stands still meanwhile, some.
            assert steps <= 3
            # Nobody hears anything for a while: whether it is still so, is asked.
            silent = time.monotonic() + 0.3
            await until(lambda: time.monotonic() > silent)
            assert await noop(first) == steps + 1
            epoch = 8
            await other.ask(b"other\r\n")
            assert await noop(first) == steps + 2

    run(test())


def test_with_a_worker_goes_what_any_has_answered() -> None:
    async def test() -> None:
        async with gateway() as running:
            workers = [await running.worker(name) for name in (b"w1", b"w2")]
            for worker in workers:
                worker.script = repeater(60_000)
            client = await running.greeted()

            def steps() -> int:
                return sum(worker.inputs(Lines).count(Lines((b"NOOP",))) for worker in workers)

            for _ in range(2):
                assert await client.ask(b"NOOP\r\n") == b"250 same"
            assert steps() == 1
            # Either may have answered.
            workers[0].leave()
            end = time.monotonic() + DEADLINE
            while steps() == 1:
                assert time.monotonic() < end, "the answer stays"
                assert await client.ask(b"NOOP\r\n") == b"250 same"

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
