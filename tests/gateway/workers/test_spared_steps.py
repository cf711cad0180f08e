"""Lines that take no step, on a gateway that runs: what is known beforehand, and what was answered before."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.conditions import DEADLINE, until
from tests.gateway.fakes import Client, FakeWorker, gateway, parrot
from tests.gateway.workers.test_answers import DATA, QUIT
from wire.messages import Body, Connected, Lines, Step, StepDone
from wire.records import replace


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


async def test_a_foreseen_line_takes_no_step_and_the_next_step_begins_where_it_ends() -> None:
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


async def test_what_is_said_behind_a_foreseen_line_is_read_as_its_answer_wants() -> None:
    async with scene() as (_, client):
        assert await client.ask(b"OPEN\r\n") == b"250 1 OPEN"
        client.send(b"DATA\r\n..text\r\n.\r\nQUIT\r\n")
        assert await client.line() == b"354 foreseen"
        assert await client.line() == b"250 6 octets"
        assert await client.rest() == b"221 foreseen\r\n"


@pytest.mark.parametrize("said", [b"DATA", b"dAtA", b"other"])
async def test_what_comes_too_late_or_is_written_otherwise_is_a_step(said: bytes) -> None:
    past = int(time.time() * 1000) - 1
    async with scene(past if said == b"DATA" else None) as (worker, client):
        await client.ask(b"OPEN\r\n")
        assert await client.ask(said + b"\r\n") == (b"354 go" if said == b"DATA" else b"250 2 " + said)
        assert worker.steps[-1].input == Lines((said,))


async def test_answers_are_void_once_anything_else_was_said() -> None:
    async with scene() as (_, client):
        await client.ask(b"OPEN\r\n")
        assert await client.ask(b"other\r\n") == b"250 2 other"
        assert await client.ask(b"DATA\r\n") == b"354 go"


async def test_a_foreseen_answer_goes_with_its_worker() -> None:
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


def repeater(again: int) -> Callable[[Step], StepDone]:
    """A worker that answers NOOP always the same, and with the state that it found; all else as the parrot."""

    def script(step: Step) -> StepDone:
        done = parrot(step)
        if isinstance(step.input, Lines) and step.input.lines[0] == b"NOOP":
            return replace(done, state=step.state, replies=b"250 same\r\n" * len(step.input.lines), again=again)
        return done

    return script


async def test_sessions_that_say_the_same_in_the_same_state_take_one_step() -> None:
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


def storekeeper(epoch: Callable[[], int]) -> Callable[[Step], StepDone]:
    """A worker that asks the store for all but EHLO; to NOOP the store's answer is the same in an epoch."""

    def script(step: Step) -> StepDone:
        done = replace(parrot(step), heard=epoch())
        if isinstance(step.input, Lines) and step.input.lines == (b"NOOP",):
            return replace(done, state=step.state, replies=b"250 same\r\n", epoch=epoch())
        return done

    return script


async def test_what_the_store_has_said_is_the_answer_while_any_step_hears_of_its_epoch() -> None:
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


async def test_with_a_worker_goes_what_any_has_answered() -> None:
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


async def test_once_the_time_is_over_a_worker_is_asked_again() -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.script = repeater(1)
        client = await running.greeted()
        for _ in range(2):
            assert await client.ask(b"NOOP\r\n") == b"250 same"
            end = time.monotonic() + 0.001
            await until(lambda end=end: time.monotonic() > end)  # type: ignore[misc]
        assert worker.inputs(Lines) == [Lines((b"NOOP",))] * 2


async def test_a_client_that_says_much_at_once_takes_turns_with_the_others() -> None:
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
