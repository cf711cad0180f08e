"""How sessions end: clients that half-close, vanish or stay, and what becomes of what is under way."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from gateway.clients import ending
from gateway.clients.connection import UNREAD_REPLIES, ClientConnection
from gateway.clients.crowd import Crowd, Endable
from gateway.telling.farewells import Farewell
from tests.conditions import until
from tests.gateway.fakes import FakeWorker, Running, gateway, mute, parrot, send_until_cut_off
from wire.limits import MAX_PIECE
from wire.messages import Body, Close, Disconnected, Step
from wire.records import replace


async def test_a_client_that_half_closes_is_answered_to_the_end() -> None:
    async with gateway() as running:
        await running.worker()
        client = await running.client()
        client.send(b"HELO a\nDATA\nhello\n.\nbye\nincomplete")
        client.writer.write_eof()
        assert await client.rest() == b"220 127.0.0.1\r\n250 1 HELO a\r\n354 go\r\n250 6 octets\r\n250 3 bye\r\n"


async def test_a_client_that_half_closes_inside_a_large_message_has_it_called_off() -> None:
    async with gateway() as running:
        worker = await running.worker()
        client = await running.greeted()
        client.send(b"DATA\r\n" + b"x" * (MAX_PIECE + 10))
        client.writer.write_eof()
        assert await client.rest() == b"354 go\r\n"
        await until(lambda: worker.inputs(Disconnected), "for the call-off")


async def message_step_under_way(running: Running, last: bool) -> tuple[FakeWorker, Step]:
    """A client has sent a message, whole or in part, and vanished while the worker had it."""
    worker = await running.worker()
    client = await running.greeted()
    assert await client.ask(b"DATA\r\n") == b"354 go"
    worker.script = mute
    client.send(b"hello\r\n.\r\n" if last else b"x" * (MAX_PIECE + 10))
    await until(lambda: worker.inputs(Body), "for the message")
    client.vanish()
    await until(lambda: " closed: " in running.log.text, "for the gateway to see it")
    worker.script = parrot
    return worker, worker.steps[-1]


async def test_a_message_that_arrived_whole_is_done_though_its_client_is_gone() -> None:
    async with gateway(conversation="on") as running:
        worker, step = await message_step_under_way(running, last=True)
        worker.say(parrot(step))
        client = await running.greeted()
        assert await client.ask(b"x\r\n") == b"250 1 x"
        assert worker.inputs(Disconnected) == []


async def test_the_step_of_a_client_that_is_gone_outlives_its_worker() -> None:
    async with gateway(conversation="on") as running:
        worker, step = await message_step_under_way(running, last=True)
        worker.die()
        second = await running.worker(b"w2")
        await until(lambda: second.steps == [step], "for the step to be done by the second worker")


async def test_a_message_cut_off_while_a_piece_is_under_way_is_called_off() -> None:
    async with gateway(conversation="on") as running:
        worker, step = await message_step_under_way(running, last=False)
        assert worker.inputs(Disconnected) == []
        worker.say(parrot(step))
        await until(lambda: worker.inputs(Disconnected), "for the call-off")
        assert worker.steps[-1].seq == step.seq + 1
        assert worker.steps[-1].state == parrot(step).state


async def test_a_worker_may_end_the_session_inside_a_message_and_is_not_asked_to_call_it_off() -> None:
    async with gateway() as running:
        worker = await running.worker()
        client = await running.greeted()
        assert await client.ask(b"DATA\r\n") == b"354 go"
        worker.script = lambda step: replace(parrot(step), replies=b"421 no\r\n", next=Close())
        client.send(b"x" * (MAX_PIECE + 10))
        assert await client.rest() == b"421 no\r\n"
        worker.script = parrot
        other = await running.greeted()
        assert await other.ask(b"x\r\n") == b"250 1 x"
        assert worker.inputs(Disconnected) == []


async def test_the_last_reply_reaches_a_client_that_still_sends() -> None:
    async with gateway() as running:
        await running.worker()
        client = await running.greeted()
        client.send(b"QUIT\r\n" + b"x" * 3_000_000)
        assert await client.rest() == b"221 bye\r\n"


async def test_a_client_that_half_closes_and_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    crowds: list[Crowd] = []
    original = Crowd.enter

    def enter(self: Crowd, client: Endable, address: str) -> Farewell | None:
        crowds.append(self)
        return original(self, client, address)

    monkeypatch.setattr(Crowd, "enter", enter)
    monkeypatch.setattr(ending, "LINGER", 0.2)
    async with gateway() as running:
        worker = await running.worker()
        worker.script = lambda step: replace(parrot(step), replies=b"250 " + UNREAD_REPLIES // 4 * b"x" + b"\r\n")
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(raw, ("127.0.0.1", running.port))
            await until(lambda: worker.steps, "for the session")
            (crowd,) = crowds
            (client,) = cast(dict[ClientConnection, str], crowd._clients)
            # More than the kernel takes for a client that does not read, and little enough to be served on.
            while not client._transport.get_write_buffer_size():
                asked = len(worker.steps)
                await loop.sock_sendall(raw, b"more\r\n")
                await until(lambda asked=asked: len(worker.steps) > asked, "for the step")
                await until(lambda: client._progress.step is None and not client._outbox.owed, "for the answer")
            raw.shutdown(socket.SHUT_WR)
            await until(lambda: len(crowd) == 0, "for its end")


async def test_a_client_that_does_not_close_is_closed_after_a_while() -> None:
    async with gateway() as running:
        await running.worker()
        client = await running.greeted()
        client.send(b"QUIT\r\n")
        assert await client.rest() == b"221 bye\r\n"
        await send_until_cut_off(client.writer.drain, lambda: client.send(b"still here\r\n"))
