"""Sessions over real TCP, with workers that answer as told: what a client sends, when, and how it leaves."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import cast

import pytest

from gateway.clients.connection import ClientConnection
from gateway.clients.crowd import Admission, Crowd
from gateway.server import connections
from gateway.telling.conversation import Conversation
from gateway.telling.metrics import GatewayCounts
from gateway.workers.dispatcher import Dispatcher
from tests.conditions import DEADLINE, until
from tests.gateway.fakes import Client, Running, gateway, mute, parrot, send_until_cut_off
from wire import messages
from wire.limits import MAX_PIECE
from wire.messages import (
    Body,
    Close,
    Connected,
    Disconnected,
    Injected,
    Message,
    ReadBody,
    ReadLines,
    Step,
    StepDone,
)
from wire.records import replace


async def test_a_session_is_a_sequence_of_steps_that_carry_their_state() -> None:
    async with gateway() as running:
        worker = await running.worker()
        client = await running.greeted()
        assert await client.ask(b"one\r\n") == b"250 1 one"
        assert await client.ask(b"two\r\n") == b"250 2 two"
        assert await client.ask(b"QUIT\r\n") == b"221 bye"
        assert await client.rest() == b""
        assert [step.seq for step in worker.steps] == [0, 1, 2, 3]
        assert [step.state for step in worker.steps] == [b"", b"1", b"2", b"3"]
        assert worker.steps[0].input == Connected()
        assert len({step.session for step in worker.steps}) == 1


async def test_session_ids_are_unique_and_told_apart_from_those_of_another_process() -> None:
    ids = []
    for _ in range(2):
        async with gateway() as running:
            worker = await running.worker()
            await running.greeted()
            await running.greeted()
            ids += [step.session for step in worker.steps]
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{12}-[12]", session) for session in ids)


async def client_greeted_with(running: Running, greeting: bytes) -> Client:
    """A heartbeat changes the greeting, and comes when it comes."""
    async with asyncio.timeout(DEADLINE):
        while True:
            client = await running.client()
            if await client.line() == greeting:
                return client
            client.vanish()


async def test_a_greeting_that_all_workers_offer_is_said_without_a_step() -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.opening = b"220 at once\r\n"
        client = await client_greeted_with(running, b"220 at once")
        worker.steps.clear()
        client.send(b"one\r\n")
        assert await client.line() == b"250 1 one"
        (step,) = worker.steps
        assert (step.seq, step.state, step.client) == (1, b"", messages.Client("127.0.0.1"))
        await running.worker(b"older")
        await client_greeted_with(running, b"220 127.0.0.1")


async def test_what_is_pipelined_goes_in_one_step_and_what_follows_data_is_the_message() -> None:
    async with gateway() as running:
        worker = await running.worker()
        client = await running.greeted()
        client.send(b"a\r\nb\r\nDATA\r\n..text\r\nDATA\r\n.\r\nc\r\nQUIT\r\nignored\r\n")
        assert await client.rest() == b"250 1 a\r\n250 1 b\r\n354 go\r\n250 11 octets\r\n250 3 c\r\n221 bye\r\n"
        assert worker.inputs(Body) == [Body(b".text\nDATA\n", 0, last=True)]


async def test_a_session_that_comes_octet_by_octet_gets_the_same_replies() -> None:
    async with gateway() as running:
        await running.worker()
        client = await running.greeted()
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in b"a\r\nDATA\r\n..text\r\n.\r\nQUIT\r\n":
            client.send(bytes([octet]))
            await asyncio.sleep(0)
        assert await client.rest() == b"250 1 a\r\n354 go\r\n250 6 octets\r\n221 bye\r\n"


async def test_a_client_that_talks_before_it_is_greeted_is_answered_in_order() -> None:
    async with gateway(conversation="on") as running:
        client = await running.client()
        client.send(b"early\r\nQUIT\r\n")
        await until(lambda: " connection from " in running.log.text, "for the gateway to see it")
        await running.worker()
        assert await client.rest() == b"220 127.0.0.1\r\n250 1 early\r\n221 bye\r\n"


async def test_a_large_message_comes_in_pieces_one_step_at_a_time() -> None:
    async with gateway() as running:
        worker = await running.worker()
        client = await running.greeted()
        assert await client.ask(b"DATA\r\n") == b"354 go"
        text = b"".join(b"%09d\r\n" % number for number in range(500_000))
        client.send(text + b".\r\n")
        assert await client.line() == b"250 5000000 octets"
        pieces = worker.inputs(Body)
        assert b"".join(piece.data for piece in pieces) == text.replace(b"\r\n", b"\n")
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert all(len(piece.data) <= MAX_PIECE for piece in pieces)
        assert len(pieces) >= 5


@pytest.mark.parametrize(
    ("begin", "much", "unsent", "end", "replies"),
    [
        (b"DATA\r\n", b"x" * 20 * MAX_PIECE, 10 * MAX_PIECE, b"\r\n.\r\nQUIT\r\n", 2),
        (b"", (b"N" * 1000 + b"\r\n") * 20_000, 5_000_000, b"QUIT\r\n", 20_001),
    ],
    ids=["a message", "lines"],
)
async def test_a_gateway_whose_workers_are_slow_reads_ahead_only_so_far(
    begin: bytes, much: bytes, unsent: int, end: bytes, replies: int
) -> None:
    async with gateway() as running:
        worker = await running.worker()
        client = await running.greeted()
        assert not begin or await client.ask(begin) == b"354 go"
        held: list[Step] = []
        worker.script = held.append  # type: ignore[assignment]  # answers nothing
        client.send(much)
        await until(lambda: held, "for the first of it")
        # What the client cannot get rid of is what neither the gateway nor the kernel has taken.
        before = -1
        while (after := client.writer.transport.get_write_buffer_size()) != before:
            before = after
            await asyncio.sleep(0.2)
        assert after > unsent
        worker.script = parrot
        worker.say(parrot(held[0]))
        client.send(end)
        said = await client.rest()
        assert said.count(b"\r\n") == replies
        assert not begin or said.startswith(b"250 %d octets\r\n" % (len(much) + 1))


def flood(step: Step) -> StepDone:
    """Answers with more than the kernel takes while nobody reads."""
    done = parrot(step)
    return (
        done if isinstance(step.input, Connected) else replace(done, replies=(b"250 " + b"x" * 996 + b"\r\n") * 1000)
    )


async def test_a_client_that_never_reads_gets_no_further_step_and_is_cut_off() -> None:
    # Long enough for the lines below to be sent on a busy machine before it is over.
    async with gateway(idle_seconds=3) as running:
        worker = await running.worker()
        worker.script = flood
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(raw, ("127.0.0.1", running.port))
            for _ in range(50):
                await loop.sock_sendall(raw, b"more\r\n")
                await asyncio.sleep(0.01)
            served = len(worker.steps)
            assert served < 20
            await send_until_cut_off(lambda: loop.sock_sendall(raw, b"more\r\n"))
            assert len(worker.steps) == served


async def test_a_client_that_reads_late_gets_everything() -> None:
    async with gateway() as running:
        worker = await running.worker()
        worker.script = flood
        client = await running.greeted()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.send(b"more\r\n")
        await until(lambda: len(worker.steps) == 2, "for the first of much")
        client.send(b"more\r\n" * 9)
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(1000):
            assert (await client.line()).startswith(b"250 x")
        worker.script = lambda step: replace(flood(step), next=Close())
        client.send(b"end\r\n")
        rest = await client.rest()
        assert rest.endswith(b"x\r\n")
        steps = len(worker.steps) - 1
        assert len(rest) == (steps - 1) * 1000 * 1002


# ---------------------------------------------------------------- silence


async def test_a_silent_client_is_told_so_and_let_go() -> None:
    async with gateway(idle_seconds=0.3, domain="mail.example.com") as running:
        await running.worker()
        client = await running.greeted()
        assert (await client.rest()).startswith(b"421 4.4.2 mail.example.com ")


async def test_any_octet_resets_the_silence() -> None:
    async with gateway(idle_seconds=0.4) as running:
        await running.worker()
        client = await running.greeted()
        for octet in b"dribble\r\n":
            client.send(bytes([octet]))
            await asyncio.sleep(0.1)
        assert await client.line() == b"250 1 dribble"
        assert (await client.rest()).startswith(b"421 4.4.2 ")


async def test_the_time_a_worker_takes_is_not_the_clients_silence() -> None:
    async with gateway(idle_seconds=0.3) as running:
        worker = await running.worker()
        client = await running.greeted()
        worker.script = mute
        client.send(b"slow\r\n")
        await until(lambda: len(worker.steps) == 2)
        await asyncio.sleep(0.8)
        worker.say(parrot(worker.steps[1]))
        assert await client.line() == b"250 1 slow"


async def test_a_message_that_is_never_ended_is_called_off() -> None:
    async with gateway(idle_seconds=0.4) as running:
        worker = await running.worker()
        client = await running.greeted()
        client.send(b"DATA\r\n" + b"x" * (MAX_PIECE + 10))
        assert await client.line() == b"354 go"
        assert (await client.rest()).startswith(b"421 4.4.2 ")
        await until(lambda: worker.inputs(Disconnected), "for the call-off")
        assert [step.seq for step in worker.steps] == [0, 1, 2, 3]


async def test_a_worker_may_lower_the_limit_of_a_message_to_have_its_rest_dropped() -> None:
    def script(step: Step) -> StepDone:
        done = parrot(step)
        return replace(done, next=ReadBody(0)) if isinstance(step.input, Body) and not step.input.last else done

    async with gateway() as running:
        worker = await running.worker()
        worker.script = script
        client = await running.greeted()
        client.send(b"DATA\r\n" + b"x" * (5 * MAX_PIECE) + b"\r\n.\r\nnext\r\n")
        assert await client.line() == b"354 go"
        assert (await client.line()).endswith(b" octets too big")
        assert (await client.line()).endswith(b" next")
        assert len(worker.inputs(Body)) == 2


async def test_the_limit_of_a_message_comes_from_the_worker() -> None:
    async with gateway() as running:
        worker = await running.worker()

        def script(step: Step) -> StepDone:
            done = parrot(step)
            return done if isinstance(done.next, ReadLines) else replace(done, next=ReadBody(7))

        worker.script = script
        client = await running.greeted()
        for text, reply in ((b"12345\r\n", b"250 6 octets"), (b"123456\r\n", b"250 0 octets too big")):
            assert await client.ask(b"DATA\r\n") == b"354 go"
            assert await client.ask(text + b".\r\n") == reply


async def test_replies_go_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nagle's algorithm would hold a small reply back until the one before it is acknowledged."""
    made: list[asyncio.BaseTransport] = []
    original = ClientConnection.connection_made

    def connection_made(self: ClientConnection, transport: asyncio.BaseTransport) -> None:
        made.append(transport)
        original(self, transport)

    monkeypatch.setattr(ClientConnection, "connection_made", connection_made)
    async with gateway() as running:
        await running.worker()
        await running.greeted()
        assert made[0].get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_a_failure_on_cue_holds_replies_back_is_logged_and_does_what_comes_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = (messages.Told("NOOP", 250),)

    def answer(step: Step) -> StepDone:
        if step.input == Connected():
            return StepDone(step.session, step.seq, 0, b"", b"220 127.0.0.1\r\n", ReadLines())
        if step.seq == 1:
            late = Injected(150, "delay 150 ms at noop", ReadLines())
            return StepDone(step.session, step.seq, 1, b"", b"250 late\r\n", late, told=told)
        return StepDone(step.session, step.seq, 1, b"", b"", Injected(0, "drop at noop", Close()), told=told)

    async with gateway(conversation="off") as running:
        (await running.worker()).script = answer
        client = await running.greeted()
        before = asyncio.get_running_loop().time()
        assert await client.ask(b"NOOP\r\n") == b"250 late"
        # The loop's clock counts whole milliseconds.
        assert asyncio.get_running_loop().time() - before > 0.14
        client.send(b"NOOP\r\n")
        assert await client.rest() == b""
    assert [record.getMessage().partition(" ")[2] for record in caplog.records if " ! " in record.getMessage()] == [
        "! injected: delay 150 ms at noop",
        "! injected: drop at noop",
    ]


# ---------------------------------------------------------------- without a socket


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


async def test_one_that_is_cut_off_in_the_turn_of_its_reply_costs_the_others_nothing() -> None:
    counts = GatewayCounts()
    sent: list[Message] = []
    dispatcher = Dispatcher(counts, lambda: 0.0)
    dispatcher.send = lambda step, _: sent.append(step)
    dispatcher.pool.heartbeat(b"w", draining=False, now=0.0)
    crowd = Crowd(Admission(10, 0), counts)
    make = connections(crowd, dispatcher, Conversation(None), counts, "example.com", 300, lambda: 1_700_000_000.25)
    wires = [Wire(), Wire(), Wire()]
    clients = [make() for _ in wires]
    for client, wire in zip(clients, wires, strict=True):
        client.connection_made(cast(asyncio.Transport, wire))
    await until(lambda: len(sent) == 3, "for the steps")
    for step in cast(list[Step], sent):
        # In whole milliseconds.
        assert step.time == 1_700_000_000_250
        dispatcher.on_message(b"w", StepDone(step.session, 0, 0, b"s", b"220 hello\r\n", ReadLines()))
    assert [wire.written for wire in wires] == [b""] * 3
    clients[1].abort("for the test")
    await asyncio.sleep(0)
    assert [wire.written for wire in wires] == [b"220 hello\r\n", b"", b"220 hello\r\n"]
