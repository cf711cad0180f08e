"""Lines that take no step, on a gateway that runs: their answer is known, and still holds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gateway.workers.dispatcher import KnownAnswers
from tests.conditions import DEADLINE, until
from tests.gateway.fakes import gateway, parrot
from wire.limits import MAX_HOLDS
from wire.messages import Body, Client, Connected, Lines, Step, StepDone
from wire.records import replace


@pytest.fixture
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known holds for as long as the test takes, however slow the machine is."""
    find = KnownAnswers.find
    monkeypatch.setattr(KnownAnswers, "find", lambda self, state, lines, _now: find(self, state, lines, 0.0))


def repeater(holds: int) -> Callable[[Step], StepDone]:
    """A worker that answers NOOP always the same, and with the state that it found; all else as the parrot."""

    def script(step: Step) -> StepDone:
        done = parrot(step)
        if isinstance(step.input, Lines) and step.input.lines[0] == b"NOOP":
            return replace(done, state=step.state, replies=b"250 same\r\n" * len(step.input.lines), holds=holds)
        return done

    return script


@pytest.mark.usefixtures("_no_time_passes")
async def test_sessions_that_say_the_same_in_the_same_state_take_one_step() -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.script = repeater(MAX_HOLDS)
        clients = [await running.greeted() for _ in range(3)]
        for client in clients:
            assert await client.ask(b"NOOP\r\n") == b"250 same"
            assert await client.ask(b"NOOP\r\n") == b"250 same"
        assert worker.inputs(Lines) == [Lines((b"NOOP",))]
        # The next step goes on from the state that was answered, and its number is the next.
        assert await clients[2].ask(b"other\r\n") == b"250 1 other"


@pytest.mark.usefixtures("_no_time_passes")
async def test_with_a_worker_goes_what_any_has_answered() -> None:
    async with gateway() as running:
        workers = [await running.worker(name) for name in (b"w1", b"w2")]
        for worker in workers:
            worker.script = repeater(MAX_HOLDS)
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


@pytest.mark.usefixtures("_no_time_passes")
async def test_a_client_that_says_much_at_once_takes_turns_with_the_others() -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.script = repeater(MAX_HOLDS)
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


def sharer(step: Step) -> StepDone:
    """A worker that answers OPEN and DATA the same in all sessions, and wants the session back that said OPEN."""
    done = parrot(step)
    if isinstance(step.input, Lines) and step.input.lines in ((b"OPEN",), (b"DATA",)):
        first = step.input.lines == (b"OPEN",)
        return replace(done, state=b"1" if first else b"2", carry=b"of OPEN" if first else None, holds=MAX_HOLDS)
    return replace(done, carry=b"of all else")


@pytest.mark.usefixtures("_no_time_passes")
async def test_the_next_step_begins_where_known_answers_have_led_and_brings_what_is_carried() -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.script = sharer
        clients = [await running.greeted() for _ in range(2)]
        for client in clients:
            assert await client.ask(b"OPEN\r\n") == b"250 1 OPEN"
            assert await client.ask(b"DATA\r\n") == b"354 go"
            assert await client.ask(b"..text\r\n.\r\n") == b"250 6 octets"
        assert [step.input for step in worker.steps] == [
            Connected(), Connected(),
            Lines((b"OPEN",)), Lines((b"DATA",)), Body(b".text\n", 0, last=True), Body(b".text\n", 0, last=True),
        ]  # fmt: skip
        assert [step.seq for step in worker.steps] == [0, 0, 1, 2, 3, 1]
        assert [step.state for step in worker.steps] == [b"", b"", b"1", b"1", b"2", b"2"]
        assert [step.carry for step in worker.steps] == [b"", b"", *[b"of all else"], *[b"of OPEN"] * 3]
        assert {step.client for step in worker.steps} == {Client("127.0.0.1")}
