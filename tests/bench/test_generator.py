"""The load generator says what a server has acknowledged, pipelined or not, and notices what goes wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest

from bench.generator import Job, Result, message, send


class Server:
    """Speaks just enough SMTP, a few octets at a time, and counts the messages of each recipient."""

    def __init__(self, refuse_after: int = 10**9) -> None:
        self.stored: Counter[bytes] = Counter()
        self.senders: Counter[bytes] = Counter()
        self.connections = 0
        self._open: list[asyncio.StreamWriter] = []
        self._refuse_after = refuse_after

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        self.connections += 1
        with suppress(ConnectionError):
            await self._talk(reader, writer)
        writer.close()

    async def closed(self) -> None:
        """Return once every connection has been closed."""
        for writer in self._open:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        recipient = b""
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-here\r\n250-SI")
                await writer.drain()
                writer.write(b"ZE 4\r\n250 HELP\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go\r\n")
                while (text := await reader.readline()) != b".\r\n":
                    if not text:
                        return
                if self.stored.total() == self._refuse_after:
                    writer.write(b"451 full\r\n")
                    continue
                self.stored[recipient] += 1
                writer.write(b"250 stored\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                self.senders[line] += verb == b"MAIL"
                recipient = line[8:].strip() if verb == b"RCPT" else recipient
                writer.write(b"250 ok\r\n")


async def _run(job: Job, server: Server) -> Result:
    async with asyncio.timeout(20), await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        result = await send(replace(job, port=listener.sockets[0].getsockname()[1]))
        await server.closed()
        return result


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("keep", [False, True])
async def test_every_message_is_sent_once_and_acknowledged(keep: bool, pipelined: bool) -> None:
    server = Server()
    result = await _run(Job(0, 50, 4, keep=keep, pipelined=pipelined, recipients=5, senders=2), server)
    assert result.error == ""
    assert result.acknowledged == 50
    assert len(server.stored) == 5
    assert set(server.stored.values()) == {10}
    assert len(+server.senders) == 2
    assert set((+server.senders).values()) == {25}
    assert server.connections == (4 if keep else 50)
    assert len(result.dot_to_250) == 50
    assert len(result.connect_to_greeting) == server.connections
    assert 0 < min(result.dot_to_250) <= result.seconds


async def test_a_job_goes_on_with_the_recipient_after_the_last_one_s_and_with_senders_that_nobody_knows() -> None:
    one, two = Server(), Server()
    await _run(Job(0, 10, 2, recipients=100, senders=10), one)
    await _run(Job(0, 10, 2, recipients=100, senders=10, first=10), two)
    assert len(one.stored) == len(two.stored) == len(+one.senders) == len(+two.senders) == 10
    assert not set(one.stored) & set(two.stored)
    assert not set(+one.senders) & set(+two.senders)


@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_refusal_ends_the_run_and_is_told(pipelined: bool) -> None:
    server = Server(refuse_after=7)
    result = await _run(Job(0, 50, 2, pipelined=pipelined), server)
    assert "451 full" in result.error
    assert result.acknowledged <= 7 == server.stored.total()


async def test_nobody_listening_is_told() -> None:
    assert (await send(Job(1, 5, 2))).error.startswith("connect: ")


@pytest.mark.parametrize("size", [200, 4096, 102_400])
def test_a_message_has_the_size_that_was_asked_for(size: int) -> None:
    text = message(size)
    assert text.endswith(b"\r\n.\r\n")
    assert len(text) - len(b".\r\n") == size
