"""A real gateway in this process, with workers that answer as a test tells them, and clients that see octets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import zmq

from gateway.config import GatewaySettings
from gateway.server import serve
from runtime.bus import Bus, Peer, open_socket
from tests.conditions import DEADLINE, until
from tests.event_lines import event_log
from wire.messages import (
    Body,
    Close,
    Connected,
    Lines,
    Message,
    Ping,
    ReadBody,
    ReadLines,
    Step,
    StepDone,
    StepRefused,
    Told,
    WorkerAlive,
    WorkerGone,
)
from wire.records import replace

T = TypeVar("T")
Answer = StepDone | StepRefused | None
LIMIT = 10**8
# The verbs that the parrot knows, with the code of its reply; to all else it is 250.
_CODES: dict[bytes | None, int] = {b"OPEN": 250, b"DATA": 354, b"QUIT": 221, b"NOOP": 250}


def parrot(step: Step) -> StepDone:
    """A dialogue of four words: OPEN and SHUT a transaction, DATA, QUIT; all else is repeated after the client.

    Its state counts the steps of the session, so that a repeat or a gap shows in the replies.
    """
    count = int(step.state or b"0") + 1
    done = StepDone(step.session, step.seq, 0, b"%d" % count, b"", ReadLines())
    match step.input:
        case Connected():
            return replace(done, replies=b"220 %s\r\n" % step.client.address.encode())
        case Lines(lines):
            replies = b""
            for used, line in enumerate(lines, 1):
                code = _CODES.get(line, 250)
                told = (*done.told, Told(line.decode() if line in _CODES else "", code))  # type: ignore[union-attr]
                done = replace(done, consumed=used, in_transaction=line == b"OPEN", told=told)
                if line == b"DATA":
                    return replace(done, replies=replies + b"354 go\r\n", next=ReadBody(LIMIT), in_transaction=True)
                if line == b"QUIT":
                    return replace(done, replies=replies + b"221 bye\r\n", next=Close())
                replies += b"250 %d %s\r\n" % (step.seq, b"(too long)" if line is None else line)
            return replace(done, replies=replies)
        case Body(data, offset, last, too_big):
            if not last:
                return replace(done, next=ReadBody(LIMIT), in_transaction=True)
            told = (Told("message", 250),)
            return replace(
                done, replies=b"250 %d octets%s\r\n" % (offset + len(data), b" too big" * too_big), told=told
            )
        case _:
            return done


def mute(_: Step) -> None:
    """Answers nothing."""


class FakeWorker:
    """A worker that answers each step with what `script` gives for it, and keeps every step it got."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, name: bytes) -> None:
        self.steps: list[Step] = []
        self.script: Callable[[Step], Answer] = parrot
        self.draining = False
        self.opening = b""
        self._held: set[str] = set()
        socket = open_socket(context, zmq.DEALER, name)
        socket.connect(endpoint)
        self.bus = Bus(socket, self._on_message)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._beat()

    def inputs(self, kind: type[T]) -> list[T]:
        """The inputs of one kind that it got."""
        return [step.input for step in self.steps if isinstance(step.input, kind)]

    def say(self, message: Message) -> None:
        self.bus.send(message)

    def hang(self) -> None:
        """Say nothing more, not even that it is alive."""
        self.script = mute
        if self._timer is not None:
            self._timer.cancel()

    def wake(self) -> None:
        """Go on after `hang`."""
        self._beat()

    def die(self) -> None:
        """Be gone without a word."""
        self.hang()
        self.bus.close(0)

    def leave(self) -> None:
        """Say good-bye and be gone."""
        self.say(WorkerGone())
        self.hang()
        self.bus.close()

    def _beat(self) -> None:
        self._say_alive(0)
        self._timer = self._loop.call_later(0.2, self._beat)

    def _say_alive(self, ping: int) -> None:
        held = tuple(self._held)
        self.say(WorkerAlive("test", self.draining, held, self.opening, ping))

    def _on_message(self, _: Peer, message: Message) -> None:
        if isinstance(message, Ping):
            if message.number and self.script is not mute:
                self._say_alive(message.number)
            return
        assert isinstance(message, Step)
        self.steps.append(message)
        self._held.add(message.session)
        answer = self.script(message)
        if answer is not None:
            self._held.discard(message.session)
            self.say(answer)


class Client:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def line(self) -> bytes:
        """The next line, or b"" once the server has closed."""
        async with asyncio.timeout(DEADLINE):
            return (await self.reader.readline()).removesuffix(b"\r\n")

    async def rest(self) -> bytes:
        """All that still comes until the server closes."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.read()

    async def ask(self, octets: bytes) -> bytes:
        self.send(octets)
        return await self.line()

    def vanish(self) -> None:
        """Be gone: the connection is reset, which a client that only stops sending would not do."""
        if self.writer.transport.is_closing():
            return
        at_once = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.writer.transport.abort()


async def send_until_cut_off(send: Callable[[], Awaitable[None]], before: Callable[[], None] = lambda: None) -> None:
    """Return once the server has reset the connection."""
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            while True:
                before()
                await send()
                await asyncio.sleep(0.05)


class Running:
    """A gateway that runs, and what a test does with it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], settings: GatewaySettings) -> None:
        self.context = context
        self.stop = asyncio.Event()
        self.port = 0
        self.endpoint = ""
        self._opened: list[FakeWorker | Client] = []
        events, self.log = event_log()
        told = events if settings.conversation == "on" else None
        self.task = asyncio.create_task(serve(settings, self.stop, self._listening, told))

    def _listening(self, port: int, endpoint: str) -> None:
        self.port, self.endpoint = port, endpoint

    async def worker(self, name: bytes = b"w1") -> FakeWorker:
        worker = FakeWorker(self.context, self.endpoint, name)
        self._opened.append(worker)
        return worker

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**20))
        self._opened.append(client)
        return client

    async def greeted(self) -> Client:
        """A client that has read the greeting."""
        client = await self.client()
        assert await client.line() == b"220 127.0.0.1"
        return client

    async def close(self) -> None:
        for opened in self._opened:
            if isinstance(opened, Client):
                opened.vanish()
                with suppress(OSError):
                    await opened.writer.wait_closed()
        self.stop.set()
        async with asyncio.timeout(DEADLINE):
            await self.task
        for opened in self._opened:
            if isinstance(opened, FakeWorker):
                opened.die()


@asynccontextmanager
async def gateway(**settings: Any) -> AsyncIterator[Running]:
    """A gateway on ports of the system's choice; at the end it must stop in order."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    chosen = {"port": 0, "gateway_endpoint": "tcp://127.0.0.1:*", "conversation": "off", "shutdown_seconds": 5}
    running = Running(context, GatewaySettings(**(chosen | settings)))
    try:
        await until(lambda: running.port or running.task.done(), "for the gateway to listen")
        yield running
    finally:
        await running.close()
        context.destroy(linger=0)
