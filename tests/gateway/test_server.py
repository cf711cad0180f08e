"""The gateway as a whole: caps, an ordered shutdown, readiness, many connections, and its start as a process."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path

import pytest

from gateway.config import GatewaySettings
from gateway.server import CannotStart, serve
from tests.conditions import DEADLINE, until
from tests.gateway.fakes import gateway, parrot
from wire.limits import MAX_PIECE
from wire.messages import Disconnected, Lines


async def test_connections_over_the_cap_are_told_so_until_one_ends() -> None:
    async with gateway(max_connections=2, domain="mail.example.com") as running:
        await running.worker()
        clients = [await running.greeted() for _ in range(2)]
        assert (await (await running.client()).rest()).startswith(b"421 4.3.2 mail.example.com ")
        clients[0].send(b"QUIT\r\n")
        await clients[0].rest()
        clients[0].vanish()

        async with asyncio.timeout(DEADLINE):
            while not (await (await running.client()).line()).startswith(b"220 "):
                pass


async def test_connections_of_one_address_have_a_cap_of_their_own() -> None:
    async with gateway(max_connections_per_address=1) as running:
        await running.worker()
        await running.greeted()
        assert (await (await running.client()).rest()).startswith(b"421 4.7.0 ")


async def test_a_shutdown_lets_transactions_end_and_turns_all_others_away() -> None:
    async with gateway() as running:
        await running.worker()
        idle, busy = await running.greeted(), await running.greeted()
        assert await busy.ask(b"OPEN\r\n") == b"250 1 OPEN"
        running.stop.set()
        assert (await idle.rest()).startswith(b"421 4.3.2 ")
        with pytest.raises(OSError):
            await running.client()
        assert await busy.ask(b"DATA\r\n") == b"354 go"
        assert await busy.ask(b"hello\r\n.\r\n") == b"250 6 octets"
        assert (await busy.rest()).startswith(b"421 4.3.2 ")
        busy.vanish()
        idle.vanish()
        await until(running.task.done, "for the end")


def refuses(port: int) -> bool:
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


async def test_a_shutdown_waits_for_a_step_under_way() -> None:
    async with gateway() as running:
        worker = await running.worker()
        client = await running.greeted()
        # Whoever knocks while it still listens is greeted, and goes.
        worker.script = lambda step: None if isinstance(step.input, Lines) else parrot(step)
        client.send(b"hello\r\n")
        await until(lambda: len(worker.steps) == 2)
        running.stop.set()
        await until(lambda: refuses(running.port), "for nobody to listen any more")
        worker.say(parrot(worker.steps[1]))
        assert await client.line() == b"250 1 hello"
        assert (await client.rest()).startswith(b"421 4.3.2 ")


async def test_a_shutdown_ends_transactions_that_take_too_long() -> None:
    async with gateway(shutdown_seconds=0.3) as running:
        worker = await running.worker()
        lines, text = await running.greeted(), await running.greeted()
        assert await lines.ask(b"OPEN\r\n") == b"250 1 OPEN"
        text.send(b"DATA\r\n" + b"x" * (MAX_PIECE + 10))
        assert await text.line() == b"354 go"
        running.stop.set()
        assert (await lines.rest()).startswith(b"421 4.3.2 ")
        assert (await text.rest()).startswith(b"421 4.3.2 ")
        await until(lambda: worker.inputs(Disconnected), "for the message to be called off")


async def test_the_ready_file_is_there_while_there_is_a_worker(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    async with gateway(ready_file=str(ready)) as running:
        assert not ready.exists()
        worker = await running.worker()
        await until(ready.exists, "for the ready file")
        worker.leave()
        await until(lambda: not ready.exists(), "for the ready file to go")
        await running.worker(b"w2")
        await until(ready.exists, "for the ready file to come back")
    assert not ready.exists()


async def test_the_first_worker_makes_it_ready_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server._BEAT", 3600.0)
    ready = tmp_path / "ready"
    async with gateway(ready_file=str(ready)) as running:
        await running.worker()
        await until(ready.exists, "for the ready file")


async def test_a_ready_file_that_cannot_be_written_ends_nothing(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with gateway(ready_file=str(tmp_path / "missing" / "ready")) as running:
        await running.worker()
        await until(lambda: "the signs of life cannot be given" in caplog.text)
        await running.greeted()


async def test_hundreds_of_clients_at_once_are_all_served() -> None:
    async with gateway() as running:
        for name in (b"w1", b"w2"):
            await running.worker(name)
        clients = await asyncio.gather(*(running.client() for _ in range(300)))
        for client in clients:
            client.send(b"a\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n")
        expected = b"220 127.0.0.1\r\n250 1 a\r\n354 go\r\n250 6 octets\r\n221 bye\r\n"
        assert set(await asyncio.gather(*(client.rest() for client in clients))) == {expected}


async def test_a_port_or_an_endpoint_that_is_taken_is_said_in_one_line() -> None:
    async def fail(**settings: object) -> str:
        with pytest.raises(CannotStart) as caught:
            await serve(GatewaySettings(**settings), asyncio.Event())  # type: ignore[arg-type]
        return str(caught.value)

    async with gateway() as running:
        port = f"cannot listen on 127.0.0.1:{running.port}: Address already in use"
        assert await fail(port=running.port, gateway_endpoint="tcp://127.0.0.1:*") == port
        endpoint = f"cannot bind {running.endpoint}: Address already in use"
        assert await fail(port=0, gateway_endpoint=running.endpoint) == endpoint
        await running.worker()
        await running.greeted()
