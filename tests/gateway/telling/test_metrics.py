"""What the gateway counts, seen where Prometheus sees it, and its probes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import GatewaySettings
from gateway.server import CannotStart, serve
from gateway.telling.metrics import GatewayCounts
from tests.conditions import DEADLINE, until, wait_until
from tests.gateway.fakes import FakeWorker, Running, gateway, mute, parrot
from tests.scraping import Samples, page, scrape
from tests.stack import Connection, Stack, free_port
from wire.limits import MAX_PIECE
from wire.messages import StepDone, StepRefused, Told


async def counted(*sessions: Callable[[Running], object], **settings: object) -> Samples:
    """The numbers of a gateway after some talk with it."""
    port = free_port()
    async with gateway(metrics=f"127.0.0.1:{port}", **settings) as running:
        for session in sessions:
            await session(running)
        return await asyncio.to_thread(scrape, port)


async def a_mail(running: Running) -> None:
    await running.worker()
    client = await running.greeted()
    assert await client.ask(b"DATA\r\n") == b"354 go"
    assert await client.ask(b"a\r\n.\r\n") == b"250 2 octets"


async def test_a_mail_is_counted_with_the_times_its_client_waited() -> None:
    found = await counted(a_mail)
    assert found("correio_gateway_connections_accepted_total") == 1
    assert found("correio_gateway_messages_total", answer="accepted") == 1
    for name, times in {"greeting": 1, "message": 1, "step": 3}.items():
        assert found(f"correio_gateway_{name}_seconds_count") == times
        assert 0 < found(f"correio_gateway_{name}_seconds_sum") < DEADLINE
    assert found("correio_gateway_received_bytes_total") == len(b"DATA\r\n" + b"a\r\n.\r\n")
    assert found("correio_gateway_sent_bytes_total") == len(b"220 127.0.0.1\r\n354 go\r\n250 2 octets\r\n")


async def test_the_time_of_a_large_message_begins_with_its_last_octets() -> None:
    async def slow_pieces(running: Running) -> None:
        worker = await running.worker()
        client = await running.greeted()
        await client.ask(b"DATA\r\n")
        held: list[StepDone] = []
        worker.script = lambda step: held.append(parrot(step)) if not held else parrot(step)
        client.send(b"x" * 80 + b"\r\n")
        client.send((b"x" * 80 + b"\r\n") * (MAX_PIECE // 80))
        await until(lambda: held, "for the first piece")
        began = time.monotonic()
        # The client is slow, then the worker is: only the second is the server's.
        await asyncio.sleep(0.3)
        client.send(b".\r\n")
        await asyncio.sleep(0.1)
        worker.say(held[0])
        assert (await client.line()).startswith(b"250 ")
        waited.append(time.monotonic() - began)

    waited: list[float] = []
    found = await counted(slow_pieces)
    assert found("correio_gateway_message_seconds_count") == 1
    assert 0.08 < found("correio_gateway_message_seconds_sum") < waited[0] - 0.28
    assert found("correio_gateway_messages_total", answer="accepted") == 1


def test_answers_are_told_apart_by_hundreds_of_their_codes() -> None:
    counts = GatewayCounts()
    for code in (250, 251, 451, 552, 0, 999):
        counts.answered((Told("message", code),))
    counts.answered(())
    assert counts.answers == {2: 2, 4: 1, 5: 1, 0: 2}
    assert counts.accepted == 2


def test_commands_answered_without_a_step_are_counted_by_what_is_told_of_them() -> None:
    counts = GatewayCounts()
    counts.answered_at_once((Told("RSET", 250), Told("", 500), Told("RSET", 250)))
    assert counts.known == {("RSET", 250): 2, ("other", 500): 1}


async def test_refused_connections_and_farewells_are_counted_by_kind() -> None:
    async def crowd(running: Running) -> None:
        await running.worker()
        await running.greeted()
        assert (await (await running.client()).rest()).startswith(b"421 ")

    async def silence(running: Running) -> None:
        assert (await (await running.client()).rest()).startswith(b"421 4.3.2")

    found = await counted(crowd, max_connections=1)
    assert found("correio_gateway_connections_refused_total", reason="too_many") == 1
    assert found("correio_gateway_farewells_total", kind="too_many") == 1
    assert (await counted(silence, no_worker_seconds=0.2))("correio_gateway_farewells_total", kind="no_worker") == 1


async def _two_workers(running: Running) -> tuple[FakeWorker, FakeWorker]:
    """The first has the step of a session, and the second is there to take it over."""
    first = await running.worker(b"w1")
    client = await running.greeted()
    first.script = mute
    client.send(b"one\r\n")
    await until(lambda: len(first.steps) == 2, "for the step")
    second = await running.worker(b"w2")
    return first, second


@pytest.mark.parametrize(
    ("end", "how"),
    [(FakeWorker.hang, "silent"), (FakeWorker.die, "disconnected"), (FakeWorker.leave, "left")],
)
async def test_workers_that_go_are_counted_by_how_and_their_steps_too(
    end: Callable[[FakeWorker], None], how: str
) -> None:
    async def loss(running: Running) -> None:
        first, second = await _two_workers(running)
        end(first)
        await until(lambda: second.steps, "for the other worker to get the step")

    found = await counted(loss)
    assert found("correio_gateway_workers_lost_total", how=how) == 1
    assert found("correio_gateway_steps_redispatched_total", reason="worker_lost") == 1


async def test_refused_and_wrongly_answered_steps_are_counted() -> None:
    async def refusal(running: Running) -> None:
        first, second = await _two_workers(running)
        step = first.steps[-1]
        first.say(StepRefused(step.session, step.seq, "state"))
        await until(lambda: second.steps, "for the other worker to get the step")

    found = await counted(refusal)
    assert found("correio_gateway_steps_redispatched_total", reason="refused") == 1

    async def wrong(running: Running) -> None:
        first, second = await _two_workers(running)
        first.script, step = parrot, first.steps[-1]
        first.say(StepDone(step.session, step.seq, 9, b"", b"", parrot(step).next))
        await until(lambda: len(first.steps + second.steps) > 2, "for a worker to get the step again")

    found = await counted(wrong)
    assert found("correio_gateway_steps_redispatched_total", reason="wrong_answer") == 1
    assert found("correio_gateway_dropped_total", reason="senseless") == 1


async def test_a_gateway_without_workers_is_alive_and_not_ready() -> None:
    port = free_port()
    async with gateway(metrics=f"127.0.0.1:{port}") as running:
        assert await asyncio.to_thread(page, port, "/livez") == (200, "yes\n")
        assert await asyncio.to_thread(page, port, "/readyz") == (503, "there is no worker\n")
        await running.worker()
        await asyncio.to_thread(wait_until, lambda: page(port, "/readyz")[0] == 200, "it is ready")
        found = await asyncio.to_thread(scrape, port)
        assert (found("correio_gateway_workers"), found("correio_ready")) == (1, 1)


async def test_a_port_for_numbers_that_is_taken_ends_the_start_and_leaves_nothing() -> None:
    port = free_port()
    async with gateway(metrics=f"127.0.0.1:{port}"):
        settings = GatewaySettings(port=0, gateway_endpoint="tcp://127.0.0.1:*", metrics=f"127.0.0.1:{port}")
        with pytest.raises(CannotStart, match=f"^METRICS=127.0.0.1:{port}: cannot listen there"):
            await serve(settings, asyncio.Event())


_STUCK = """
import time
import runtime.vitals
from gateway.telling.conversation import Conversation
from gateway.__main__ import main

def stick(*_):
    end = time.monotonic() + 4
    while time.monotonic() < end:
        pass

runtime.vitals.STUCK_SECONDS = 1.5
Conversation.connected = stick
main()
"""


@pytest.mark.stack
def test_a_gateway_whose_loop_is_stuck_is_not_alive_and_says_so(folder: Path) -> None:
    stack = Stack(folder, workers=1, metrics=True)
    with stack:
        stack.terminate("gateway")
        stack.start("gateway", _STUCK)
        port = stack.metrics["gateway"]

        def answers(path: str, status: int) -> bool:
            try:
                return page(port, path)[0] == status
            except OSError:
                return False

        wait_until(lambda: answers("/readyz", 200), "the gateway is ready")
        with Connection(stack.port) as client:
            wait_until(lambda: answers("/livez", 503), "the gateway is stuck, and says so")
            assert page(port, "/readyz") == (503, "the loop stands still\n")
            assert client.reply().startswith("220 ")
            wait_until(lambda: answers("/livez", 200), "the gateway goes on")
