"""The registry: ids, the wall clock, and who is asked to end when."""

from __future__ import annotations

import asyncio
import re
from typing import cast

from gateway.clients.admission import Admission
from gateway.clients.registry import Registry
from gateway.telling.conversation import Conversation
from gateway.workers.dispatcher import Dispatcher
from gateway.workers.poison import PoisonCabinet
from wire.limits import BODY_PIECE, MAX_ID, MAX_PIECE
from wire.messages import ReadLines, StepDone


async def made(connections: int = 10) -> Registry:
    dispatcher = Dispatcher(lambda _message, _peer: None, PoisonCabinet(None), 30, lambda: 0.0)
    dispatcher.close()
    return Registry(
        dispatcher, Conversation(None), Admission(connections, 0), "example.com", 300, lambda: 1_700_000_000.25
    )


async def test_ids_are_48_random_bits_and_a_number_and_leave_room_for_that_of_a_transaction() -> None:
    first, second = await made(), await made()
    ids = [first.mint(), first.mint(), second.mint()]
    assert re.fullmatch(r"[0-9a-f]{12}-1", ids[0])
    assert ids[1] == ids[0][:-1] + "2"
    assert ids[2][:12] != ids[0][:12]
    assert len(ids[0]) < MAX_ID - 40


async def test_the_time_of_a_step_is_in_whole_milliseconds() -> None:
    assert (await made()).now_ms() == 1_700_000_000_250


async def test_a_drained_registry_ends_sessions_without_a_transaction_and_an_expelling_one_ends_all() -> None:
    registry = await made()
    assert (registry.ends(False), registry.ends(True)) == (False, False)
    registry.drain()
    assert (registry.ends(False), registry.ends(True)) == (True, False)
    registry.expel()
    assert (registry.ends(False), registry.ends(True)) == (True, True)


class Wire:
    """A client's transport: what was written to it. Like uvloop's it takes nothing once it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, octets: bytes) -> None:
        assert not self.closed
        self.written += octets

    def abort(self) -> None:
        self.closed = True

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("192.0.2.1", 1)

    def set_write_buffer_limits(self, high: int) -> None: ...


async def test_a_session_that_is_cut_off_in_the_turn_of_its_reply_costs_the_others_nothing() -> None:
    registry = await made()
    wires = [Wire(), Wire(), Wire()]
    sessions = [registry.make() for _ in wires]
    for session, wire in zip(sessions, wires, strict=True):
        session.connection_made(cast(asyncio.Transport, wire))
        session.on_done(StepDone(session.id, 0, 0, b"s", b"220 hello\r\n", ReadLines()), b"w")
    assert [wire.written for wire in wires] == [b""] * 3
    sessions[1].abort("for the test")
    await asyncio.sleep(0)
    assert [wire.written for wire in wires] == [b"220 hello\r\n", b"", b"220 hello\r\n"]


async def test_pieces_of_messages_are_large_while_few_sessions_share_the_room_for_them_and_never_small() -> None:
    registry = await made(connections=100)
    sizes = {0: registry.piece}
    sessions = []
    for count in range(1, 101):
        session = registry.make()
        session.connection_made(cast(asyncio.Transport, Wire()))
        sessions.append(session)
        sizes[count] = registry.piece
    assert (sizes[0], sizes[1], sizes[8]) == (MAX_PIECE, MAX_PIECE, MAX_PIECE)
    assert (sizes[16], sizes[32], sizes[100]) == (MAX_PIECE // 2, BODY_PIECE, BODY_PIECE)
    # Two for each: one under way, and the next.
    assert all(2 * count * size <= max(16 * MAX_PIECE, 2 * count * BODY_PIECE) for count, size in sizes.items())
    for session in sessions[1:]:
        session.connection_lost(None)
    assert registry.piece == MAX_PIECE
