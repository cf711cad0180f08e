"""Many clients with large messages at once: what the gateway holds is bounded, and nobody is kept waiting by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

import pytest

from gateway.clients import room
from gateway.clients.connection import ClientConnection
from gateway.clients.crowd import Crowd
from gateway.clients.room import READ_AHEAD
from tests.conditions import until
from tests.gateway.fakes import Client, FakeWorker, Running, gateway, parrot
from wire.limits import BODY_PIECE, MAX_PIECE
from wire.messages import Body, Lines, ReadLines, Step, StepDone
from wire.records import replace

ROOM = 4 * MAX_PIECE
CROWD = 40


@pytest.fixture
def crowds(monkeypatch: pytest.MonkeyPatch) -> list[Crowd]:
    """Those of gateways with little room, in which who has some is soon asked to hand on."""
    made: list[Crowd] = []

    class Seen(Crowd):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr("gateway.clients.crowd.ROOM", ROOM)
    monkeypatch.setattr(room, "LEASE", 0.05)
    monkeypatch.setattr("gateway.server.Crowd", Seen)
    return made


def connections(some: Crowd) -> list[ClientConnection]:
    return cast(list[ClientConnection], list(some._clients))


async def in_a_message(running: Running) -> Client:
    client = await running.greeted()
    assert await client.ask(b"DATA\r\n") == b"354 go"
    return client


def without_bodies(step: Step) -> StepDone | None:
    """A worker that is behind with messages, and answers lines."""
    return None if isinstance(step.input, Body) else parrot(step)


def held(worker: FakeWorker) -> int:
    """Octets of the large pieces that a worker has got."""
    return sum(len(body.data) for body in worker.inputs(Body) if len(body.data) > READ_AHEAD)


def catch_up(worker: FakeWorker) -> None:
    """Have it answer what it has not, and all that comes."""
    worker.script = parrot
    for step in worker.steps:
        if isinstance(step.input, Body):
            worker.say(parrot(step))


async def test_large_messages_of_many_take_no_more_than_the_room_and_others_go_on_meanwhile(
    crowds: list[Crowd],
) -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.script = without_bodies
        crowd = [await in_a_message(running) for _ in range(CROWD)]
        for client in crowd:
            client.send(b"x" * 1_000_000)
        shared = crowds[0].room
        await until(lambda: shared.free < MAX_PIECE and shared.waiting > CROWD // 2, "for the room to be full")
        # Who is late: commands, and a small message, are no part of it.
        late = await running.greeted()
        assert await late.ask(b"hello\r\n") == b"250 1 hello"
        assert held(worker) <= ROOM
        assert sum(session._framer.held for session in connections(crowds[0])) <= ROOM + 3 * CROWD * READ_AHEAD
        catch_up(worker)
        for client in crowd:
            client.send(b"\r\n.\r\n")
        for client in crowd:
            assert await client.line() == b"250 1000001 octets"
        assert (shared.free, shared.waiting) == (ROOM, 0)
        assert len(worker.steps) == len({(step.session, step.seq) for step in worker.steps}), "sent once"


def drip(client: Client) -> None:
    client.send(b"x" * 100)


def stop(_: Client) -> None:
    """Send nothing more."""


@pytest.mark.parametrize("then", [stop, drip])
async def test_clients_that_stop_in_the_middle_of_a_message_keep_nobody_waiting(
    crowds: list[Crowd], then: Callable[[Client], None]
) -> None:
    async with gateway() as running:
        await running.worker()
        # More than there is room for, each with more than it may hold without.
        crowd = [await in_a_message(running) for _ in range(CROWD)]
        for client in crowd:
            client.send(b"x" * 3 * READ_AHEAD)
        shared = crowds[0].room
        await until(lambda: shared.free < BODY_PIECE or not shared.waiting, "for the room to be full")
        honest = await in_a_message(running)
        sent = 0
        while sent < 8 * BODY_PIECE:
            honest.send(b"x" * BODY_PIECE)
            sent += BODY_PIECE
            for client in crowd:
                then(client)
            await honest.writer.drain()
        honest.send(b"\r\n.\r\n")
        assert await honest.line() == b"250 %d octets" % (sent + 1)


async def test_commands_behind_a_message_whose_replies_are_not_read_do_not_keep_the_room(
    crowds: list[Crowd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.clients.crowd.ROOM", MAX_PIECE)

    def wordy(step: Step) -> StepDone:
        done = parrot(step)
        if isinstance(step.input, Lines) and step.input.lines[0] == b"LONG":
            return replace(
                done, consumed=1, told=done.told[:1], replies=b"250 " + b"y" * 200_000 + b"\r\n", next=ReadLines()
            )
        return done

    async with gateway() as running:
        worker = await running.worker()
        worker.script = wordy
        deaf = await in_a_message(running)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        deaf.send(b"x" * 3 * READ_AHEAD + b"\r\n.\r\n" + b"LONG\r\n" * 100_000)
        shared = crowds[0].room
        await until(lambda: any(each._flow.unread for each in connections(crowds[0])), "for it to be deaf")
        others = [await in_a_message(running) for _ in range(3)]
        for client in others:
            client.send(b"x" * 2 * MAX_PIECE + b"\r\n.\r\n")
        for client in others:
            assert await client.line() == b"250 %d octets" % (2 * MAX_PIECE + 1)
        deaf.vanish()
        await until(lambda: shared.free == MAX_PIECE, "for all of the room")


async def test_of_a_client_that_vanishes_nothing_is_held_but_its_step(crowds: list[Crowd]) -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.script = without_bodies
        client = await in_a_message(running)
        # Less than another piece: it is read on, so that its end is seen.
        client.send(b"x" * (MAX_PIECE + 2 * BODY_PIECE))
        await until(lambda: worker.inputs(Body), "for the first piece")
        (session,) = connections(crowds[0])
        await until(lambda: session._framer.held > BODY_PIECE, "for what comes behind it")
        client.vanish()
        await until(lambda: not len(crowds[0]), "for its end")
        assert session._framer.held == 0
        assert crowds[0].room.free == ROOM - len(worker.inputs(Body)[0].data)
        catch_up(worker)
        await until(lambda: crowds[0].room.free == ROOM, "for all of the room")


async def test_an_idle_client_that_waits_for_room_is_not_told_that_it_is_idle(crowds: list[Crowd]) -> None:
    async with gateway(idle_seconds=0.5) as running:
        worker = await running.worker()
        worker.script = without_bodies
        crowd = [await in_a_message(running) for _ in range(CROWD)]
        for client in crowd:
            client.send(b"x" * 1_000_000 + b"\r\n.\r\n")
        begun = time.monotonic()
        await until(lambda: time.monotonic() - begun > 1.5, "for longer than a client may be silent")
        catch_up(worker)
        for client in crowd:
            assert await client.line() == b"250 1000001 octets"


async def test_states_of_all_sessions_are_bounded_and_the_one_that_asks_for_too_much_is_told(
    crowds: list[Crowd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.clients.crowd._STATES", 100_000)

    def growing(step: Step) -> StepDone:
        grow = isinstance(step.input, Lines) and step.input.lines[0] == b"GROW"
        state = b"0" * 40_000 if grow else b"1"
        return replace(parrot(replace(step, state=b"")), state=state, in_transaction=grow)

    async with gateway(domain="mail.example.com") as running:
        worker = await running.worker()
        worker.script = growing
        crowd = [await running.greeted() for _ in range(3)]
        assert await crowd[0].ask(b"GROW\r\n") == b"250 1 GROW"
        assert await crowd[1].ask(b"GROW\r\n") == b"250 1 GROW"
        assert await crowd[2].ask(b"GROW\r\n") == b"250 1 GROW"
        refused = max(connections(crowds[0]), key=lambda each: each._progress.id)
        assert refused._progress.state == b"", "it is not held while the client reads why"
        assert (await crowd[2].line()).startswith(b"421 4.3.2 mail.example.com Too much is held")
        assert await crowd[2].line() == b""
        # Others go on, and once a state is small, or its session gone, there is room again.
        assert await crowd[1].ask(b"small\r\n") == b"250 2 small"
        again = await running.greeted()
        assert await again.ask(b"GROW\r\n") == b"250 1 GROW"
        await until(lambda: crowds[0]._states == 80_000, "for the count")
