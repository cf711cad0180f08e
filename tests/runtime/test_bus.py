"""The bus: batches by turn, order, unreachable peers, and garbage that costs nothing but a count."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
import zmq

import runtime.bus
from runtime.bus import Bus, Peer, open_socket
from tests.conditions import until
from wire.codec import decode, encode
from wire.limits import MAX_BATCH
from wire.messages import Close, Message, Ping, Pong, StepDone, StepRefused, WorkerAlive


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


class Side:
    """One end of a bus with what it received."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.received: list[tuple[Peer, Message]] = []
        self.unreachable: list[tuple[Peer, list[Message]]] = []
        self.bus = Bus(socket, self._on_message, lambda peer, messages: self.unreachable.append((peer, messages)))

    def _on_message(self, peer: Peer, message: Message) -> None:
        self.received.append((peer, message))
        if message == Pong("raise"):
            raise RuntimeError("a handler's mistake")


@asynccontextmanager
async def pair(
    context: zmq.Context[zmq.Socket[bytes]], folder: Path
) -> AsyncIterator[tuple[Side, Side, zmq.Socket[bytes]]]:
    """A ROUTER, a DEALER called w1, and a bare DEALER called bad that can send any frames."""
    endpoint = f"ipc://{folder}/bus"
    router = open_socket(context, zmq.ROUTER)
    router.bind(endpoint)
    dealer = open_socket(context, zmq.DEALER, b"w1")
    dealer.connect(endpoint)
    bad = open_socket(context, zmq.DEALER, b"bad")
    bad.connect(endpoint)
    server, client = Side(router), Side(dealer)
    try:
        yield server, client, bad
    finally:
        client.bus.close(0)
        server.bus.close(0)
        bad.close()


async def test_messages_of_one_turn_arrive_in_order_and_in_one_batch(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    endpoint = f"ipc://{tmp_path}/bus"
    raw = open_socket(context, zmq.ROUTER)
    raw.bind(endpoint)
    dealer = open_socket(context, zmq.DEALER, b"w1")
    dealer.connect(endpoint)
    client = Side(dealer)
    for number in range(5):
        client.bus.send(Pong(str(number + 1)))
    await until(lambda: raw.poll(0))
    assert raw.recv_multipart() == [b"w1", *encode([Pong(str(number + 1)) for number in range(5)])]
    client.bus.close(0)
    raw.close()


async def test_a_message_that_cannot_be_sent_takes_no_other_along(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = open_socket(context, zmq.ROUTER)
    raw.bind(f"ipc://{tmp_path}/bus")
    dealer = open_socket(context, zmq.DEALER, b"w1")
    dealer.connect(f"ipc://{tmp_path}/bus")
    client = Side(dealer)
    for number in range(9):
        client.bus.send(StepRefused("s", 2**64 if number == 3 else number, "draining"))
    got: list[Message] = []
    while len(got) < 8:
        await until(lambda: raw.poll(0))
        got += decode(raw.recv_multipart()[1:]).messages
    assert got == [StepRefused("s", number, "draining") for number in range(9) if number != 3]
    client.bus.close(0)
    raw.close()
    assert caplog.text.count("a StepRefused that cannot be sent is dropped") == 1


async def test_what_is_much_goes_out_in_parts_before_its_turn_ends(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    raw = open_socket(context, zmq.ROUTER)
    raw.bind(f"ipc://{tmp_path}/bus")
    dealer = open_socket(context, zmq.DEALER, b"w1")
    dealer.connect(f"ipc://{tmp_path}/bus")
    client = Side(dealer)
    client.bus.send(Ping())
    await until(lambda: raw.poll(0))
    raw.recv_multipart()
    many: list[Message] = [Pong(str(number + 1)) for number in range(40)]
    for message in many:
        client.bus.send(message)
    # The loop has not turned, and there is something already.
    assert raw.poll(10_000)
    client.bus.flush()
    batches = []
    for _ in range(3):
        assert raw.poll(10_000)
        batches.append(decode(raw.recv_multipart()[1:]).messages)
    assert [len(batch) for batch in batches] == [16, 16, 8]
    assert [message for batch in batches for message in batch] == many
    client.bus.close(0)
    raw.close()


async def test_a_router_answers_the_peer_that_asked(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path) -> None:
    async with pair(context, tmp_path) as (server, client, _):
        client.bus.send(Ping())
        await until(lambda: server.received)
        assert server.received == [(b"w1", Ping())]
        server.bus.send(Pong("one"), b"w1")
        await until(lambda: client.received)
        assert client.received == [(b"", Pong("one"))]


async def test_thousands_of_batches_each_way_lose_no_wake_up(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    async with pair(context, tmp_path) as (server, client, _):
        for number in range(3000):
            client.bus.send(Pong(f"up {number}"))
            client.bus.flush()
            if server.received and number % 3 == 0:
                server.bus.send(Pong(f"down {number}"), b"w1")
            if number % 50 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(server.received) == 3000)
        assert [message for _, message in server.received] == [Pong(f"up {n}") for n in range(3000)]
        server.bus.send(Pong("last"), b"w1")
        await until(lambda: client.received[-1:] == [(b"", Pong("last"))])


class Full:
    """A socket for which much waits already."""

    closed = False

    def __init__(self, waiting: list[list[bytes]]) -> None:
        self.waiting = waiting
        self._fd, self._other = os.pipe()

    def getsockopt(self, option: int) -> int:
        return zmq.DEALER if option == zmq.TYPE else self._fd

    def recv_multipart(self, _flags: int) -> list[bytes]:
        if not self.waiting:
            raise zmq.Again
        return self.waiting.pop(0)

    def close(self, linger: int) -> None:
        os.close(self._fd)
        os.close(self._other)


async def test_what_waits_is_received_in_portions_between_which_the_loop_does_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(runtime.bus.time, "monotonic", lambda: now)
    socket = Full([encode([Ping(number)]) for number in range(40)])
    received: list[Message] = []

    def take(_: Peer, message: Message) -> None:
        nonlocal now
        now += 0.015
        received.append(message)

    bus = Bus(cast(Any, socket), take)
    counts = [0]
    async with asyncio.timeout(10):
        while len(received) < 40:
            await asyncio.sleep(0)
            counts.append(len(received))
    assert max(after - before for before, after in pairwise(counts)) <= 8, "some 50 ms in a turn"
    assert received == [Ping(number) for number in range(40)]
    bus.close(0)


async def test_a_message_to_a_peer_that_is_not_there_is_handed_back(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    async with pair(context, tmp_path) as (server, _, _bad):
        server.bus.send(Ping(), b"nobody")
        await until(lambda: server.unreachable)
        assert server.unreachable == [(b"nobody", [Ping()])]


async def test_garbage_is_counted_logged_and_dropped_and_the_rest_goes_on(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with pair(context, tmp_path) as (server, client, bad):
            bad.send_multipart([b"not the protocol", b"x"])
            bad.send_multipart([b""])
            bad.send_multipart([b"correio/1", b"\xc1"])
            client.bus.send(WorkerAlive("1"))
            await until(lambda: server.bus.rejected == 3 and server.received)
            assert server.received == [(b"w1", WorkerAlive("1"))]
    assert "dropped from b'bad': batch: protocol b'not the protocol'" in caplog.text


async def test_a_handler_that_raises_is_logged_and_the_next_message_is_served(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with pair(context, tmp_path) as (server, client, _):
        client.bus.send(Pong("raise"))
        client.bus.send(Pong("after"))
        await until(lambda: len(server.received) == 2)
    assert "could not handle a Pong" in caplog.text


async def test_what_was_sent_before_closing_still_goes_out(
    context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path
) -> None:
    async with pair(context, tmp_path) as (server, client, _):
        client.bus.send(Ping())
        await until(lambda: server.received)
        client.bus.send(Pong("farewell"))
        client.bus.close()
        await until(lambda: server.received[-1] == (b"w1", Pong("farewell")))


async def test_what_is_more_than_a_batch_may_hold_goes_in_several_and_in_order(
    context: zmq.Context[zmq.Socket[bytes]], folder: Path
) -> None:
    async with pair(context, folder) as (server, client, _):
        many: list[Message] = [Pong(str(number + 1)) for number in range(MAX_BATCH + 1)]
        large: list[Message] = [
            StepDone(str(number + 1), 0, 0, b"s" * 1024 * 1024, b"", Close()) for number in range(18)
        ]
        for message in many + large:
            client.bus.send(message)
        await until(lambda: len(server.received) == len(many) + len(large))
        assert [message for _, message in server.received] == many + large
        assert server.bus.rejected == 0


_PEER = """
import sys, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.connect(sys.argv[1])
socket.send(b"no message of the contract")
sys.stdin.read()
"""


async def test_a_peer_that_is_killed_is_noticed_and_one_that_comes_is_not_taken_for_it(tmp_path: Path) -> None:
    with zmq.Context() as context:
        endpoint = f"ipc://{tmp_path}/bus"
        router = open_socket(context, zmq.ROUTER)
        router.bind(endpoint)
        departed: list[bool] = []
        bus = Bus(router, lambda *_: None, on_departure=lambda: departed.append(True))
        peers = [subprocess.Popen([sys.executable, "-c", _PEER, endpoint], stdin=subprocess.PIPE) for _ in range(2)]
        try:
            await until(lambda: bus.rejected == len(peers))
            assert departed == []
            for number, peer in enumerate(peers, 1):
                peer.kill()
                await until(lambda number=number: len(departed) == number)
        finally:
            for peer in peers:
                peer.kill()
                peer.communicate()
            bus.close(0)
