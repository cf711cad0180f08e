"""The room for large messages: bounded, lent in order, and never kept by who does not use it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clients import room
from gateway.clients.framing import Framer
from gateway.clients.room import READ_AHEAD, Flow, Room
from tests.conditions import until
from wire.messages import ReadBody, ReadLines

PIECE = 100_000


class Client:
    """A session as the room sees it: what it holds, and how often it was told something."""

    def __init__(self, shared: Room) -> None:
        self.flow = Flow(shared, self)
        self.framer = Framer()
        self.framer.resume(0, ReadBody(10**9))
        self.advanced = 0
        self.handed_on = 0

    def advance(self) -> None:
        self.advanced += 1

    def hand_on(self) -> None:
        self.handed_on += 1
        self.flow.shrink(self.framer.held)
        if not self.flow.in_step:
            self.step()

    def read(self, octets: int) -> bool:
        """Read so much; tells whether it may read more."""
        self.framer.feed(b"x" * octets)
        return self.may()

    def may(self) -> bool:
        return self.flow.find_room(self.framer, PIECE)

    def step(self) -> None:
        """What it has goes into a step."""
        body = self.framer.take(self.framer.held)
        self.flow.step_begins(len(getattr(body, "data", b"")), self.framer.held)


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_session_holds_little_without_asking_and_a_piece_when_it_was_lent_one() -> None:
    shared = Room(PIECE)
    client = Client(shared)
    assert client.read(READ_AHEAD - 100)
    assert shared.free == PIECE
    assert client.read(100)
    assert shared.free == 0
    assert len(client.flow.buffer(client.framer.held)) == PIECE - client.framer.held
    assert not client.read(PIECE - client.framer.held)


async def test_who_finds_no_room_is_told_once_a_step_is_done_in_the_order_of_asking() -> None:
    shared = Room(PIECE)
    first, second, third = (Client(shared) for _ in range(3))
    assert first.read(READ_AHEAD)
    assert not second.read(READ_AHEAD)
    assert not third.read(READ_AHEAD)
    assert not second.may(), "asking again changes nothing"
    assert (second.flow.waits, shared.waiting) == (True, 2)
    first.read(PIECE - first.framer.held)
    first.step()
    await turns()
    assert second.advanced == 0, "the step has it"
    first.flow.step_ends()
    assert second.advanced == 0, "not in the middle of what the first one does"
    await turns()
    assert (second.advanced, third.advanced) == (1, 0)
    assert second.may()
    assert not first.read(READ_AHEAD), "who wants more is behind those who wait"
    assert shared.waiting == 2


async def test_of_a_short_piece_only_what_it_holds_is_kept() -> None:
    shared = Room(PIECE)
    client = Client(shared)
    client.read(30_000)
    client.step()
    assert PIECE - 30_010 < shared.free < PIECE - 29_990
    client.flow.step_ends()
    assert shared.free == PIECE


async def test_a_client_that_stops_in_the_middle_keeps_its_part_only_while_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "LEASE", 0.02)
    shared = Room(PIECE)
    stopped, other = Client(shared), Client(shared)
    assert stopped.read(READ_AHEAD)
    await asyncio.sleep(0.1)
    assert stopped.handed_on == 0
    assert not other.read(READ_AHEAD)
    await until(lambda: stopped.handed_on)
    assert not other.advanced, "what was handed on is on its way"
    stopped.flow.step_ends()
    await until(lambda: other.advanced)
    assert stopped.handed_on == 1
    assert shared.waiting == 0


async def test_who_leaves_gives_back_what_it_had_and_waits_no_more() -> None:
    shared = Room(PIECE)
    has, waits, last = (Client(shared) for _ in range(3))
    for client in (has, waits, last):
        client.read(READ_AHEAD)
    waits.flow.close()
    has.flow.close()
    await turns()
    assert (waits.advanced, last.advanced) == (0, 1)
    last.flow.close()
    assert (shared.free, shared.waiting) == (PIECE, 0)


async def test_commands_behind_a_message_have_to_go_before_more_is_read() -> None:
    shared = Room(PIECE)
    client = Client(shared)
    assert client.read(READ_AHEAD)
    client.framer.feed(b"\r\n.\r\n" + b"NOOP\r\n" * 5000)
    body = client.framer.take(PIECE)
    assert body is not None
    client.flow.step_begins(READ_AHEAD, client.framer.held)
    client.flow.step_ends()
    assert not client.may()
    assert shared.free == PIECE - client.framer.held
    while client.framer.held > READ_AHEAD:
        client.framer.take()
        client.framer.resume(100, ReadLines())
        client.may()
    assert client.may()
    assert shared.free == PIECE


class Crowd:
    """Five clients that do anything in any order."""

    def __init__(self) -> None:
        self.room = Room(3 * PIECE)
        self.clients = [Client(self.room) for _ in range(5)]

    async def turn(self, _: Client) -> None:
        await turns()

    async def read(self, client: Client) -> None:
        if client.may():
            client.read(min(30_000, (client.flow.octets or 2 * READ_AHEAD) - client.framer.held))

    async def step(self, client: Client) -> None:
        if client.framer.held and not client.flow.in_step:
            client.step()

    async def done(self, client: Client) -> None:
        client.flow.step_ends()

    async def hand_on(self, client: Client) -> None:
        client.hand_on()

    async def close(self, client: Client) -> None:
        client.framer = Framer()
        client.framer.resume(0, ReadBody(10**9))
        client.flow.close()

    def check(self) -> None:
        lent = sum(client.flow.octets + client.flow.in_step for client in self.clients)
        assert self.room.free == 3 * PIECE - lent >= 0
        assert all(client.framer.held <= max(client.flow.octets, 2 * READ_AHEAD) for client in self.clients)

    async def rest(self) -> None:
        """All steps are done, and those that follow."""
        for _ in range(20):
            for client in self.clients:
                client.flow.step_ends()
                if client.flow.octets:
                    client.step()
            await turns()


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["read", "step", "done", "close", "turn", "hand_on"]))))
async def test_whatever_happens_no_octet_is_lent_twice_or_lost_and_nobody_waits_for_ever(
    events: list[tuple[int, str]],
) -> None:
    crowd = Crowd()
    for number, event in events:
        await getattr(crowd, event)(crowd.clients[number])
        crowd.check()
    await crowd.rest()
    assert crowd.room.waiting == 0
