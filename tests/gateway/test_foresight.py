"""Answers given beforehand: taken for exactly what they are for, once, in time; all else is a step."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway import foresight
from tests.gateway.fakes import LIMIT, Client, FakeWorker, gateway, parrot, run
from wire.messages import Body, Close, Connected, Foreseen, Input, Lines, ReadBody, Step, StepDone
from wire.records import replace

DATA = Foreseen((b"DATA", b"data"), 1000, b"7", b"354 foreseen\r\n", ReadBody(LIMIT), True)
QUIT = Foreseen((b"QUIT",), None, b"", b"221 foreseen\r\n", Close())


@pytest.mark.parametrize(
    ("spoken", "now", "found"),
    [
        (Lines((b"DATA",)), 1000, DATA),
        (Lines((b"data", b"text")), 0, DATA),
        (Lines((b"QUIT",)), 10**15, QUIT),
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
    assert foresight.find((DATA, QUIT), spoken, now) == found


def seer(until: int | None = None) -> Callable[[Step], StepDone]:
    """A worker that, like the parrot, counts steps, and foresees DATA after OPEN and QUIT after a message."""

    def script(step: Step) -> StepDone:
        done = parrot(step)
        if isinstance(step.input, Lines) and step.input.lines == (b"OPEN",):
            return replace(done, foreseen=(replace(DATA, until=until),))
        return replace(done, foreseen=(QUIT,)) if isinstance(step.input, Body) else done

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
            assert await client.rest() == b"221 bye\r\n"

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
