"""A worker on real sockets between a gateway and a store that the test plays, all on one loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import zmq

from runtime.bus import Bus, open_socket
from session_worker.config import WorkerSettings
from session_worker.dialogue import state
from session_worker.dialogue.state import Session, Transaction
from session_worker.worker import Worker
from tests.conditions import until
from wire.messages import (
    Ask,
    Input,
    Lines,
    Message,
    Step,
    StepDone,
)

GREETED = Session("example.org")
SENDER = Session("example.org", transaction=Transaction(""))
RCPT = Lines((b"RCPT TO:<maria@example.com>",))


def step(seq: int, given: Input, session: Session | bytes = b"") -> Step:
    if isinstance(session, bytes):
        return Step("s-1", seq, 1_795_417_555_000, session, given)
    return Step("s-1", seq, 1_795_417_555_000, state.encode(session), given, carry=state.carry(session))


class Peer:
    """A ROUTER that a test plays: what it received, and the worker it talks to."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.received: list[Message] = []
        self.worker = b""
        self.socket = open_socket(context, zmq.ROUTER)
        self.socket.bind(endpoint)
        self.bus = Bus(self.socket, self._on_message)

    def _on_message(self, peer: bytes, message: Message) -> None:
        self.worker = peer
        self.received.append(message)

    def send(self, message: Message) -> None:
        self.bus.send(message, self.worker)

    def of(self, kind: type) -> list:
        return [message for message in self.received if isinstance(message, kind)]


class Stage:
    """A worker, a gateway and a store."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.endpoints = {"gateway": f"ipc://{folder}/gateway", "store": f"ipc://{folder}/store"}
        self.gateway = Peer(self.context, self.endpoints["gateway"])
        self.store = Peer(self.context, self.endpoints["store"])
        self.settings = WorkerSettings(
            gateway_endpoint=self.endpoints["gateway"], store_endpoint=self.endpoints["store"], **settings
        )
        self.worker = Worker(self.settings, self.context)

    async def answered(self, seq: int) -> StepDone:
        await until(lambda: any(done.seq == seq for done in self.gateway.of(StepDone)))
        return next(done for done in self.gateway.of(StepDone) if done.seq == seq)

    async def asked(self, count: int) -> list[Ask]:
        await until(lambda: len(self.store.of(Ask)) >= count)
        return self.store.of(Ask)


@asynccontextmanager
async def staged(folder: Path, **settings: object) -> AsyncIterator[Stage]:
    """A worker that runs and that gateway and store know; at the end it stops."""
    stage = Stage(folder, **settings)
    running = asyncio.create_task(stage.worker.run())
    try:
        await until(lambda: stage.gateway.worker and stage.store.worker)
        yield stage
    finally:
        stage.worker.stop()
        await running
        stage.gateway.bus.close(linger=0)
        stage.store.bus.close(linger=0)
        stage.context.term()
