"""The service between a gateway and a store that the tests play, over real sockets and on one loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq

from runtime.bus import Bus, open_socket
from session_worker.config import WorkerSettings
from session_worker.dialogue import state
from session_worker.dialogue.state import Session, Transaction
from session_worker.dialogue.turn import STORE_AGAIN
from session_worker.service import Worker
from tests.conditions import until
from wire.codec import PROTOCOL
from wire.messages import (
    Answer,
    Ask,
    Close,
    Connected,
    Input,
    Lines,
    Lookup,
    Message,
    Ping,
    Pong,
    ReadLines,
    Step,
    StepDone,
    StepRefused,
    WorkerAlive,
    WorkerGone,
)
from wire.outcomes import Found
from wire.records import replace

_GREETED = Session("example.org")
_SENDER = Session("example.org", transaction=Transaction(""))
_RCPT = Lines((b"RCPT TO:<maria@example.com>",))


def _step(seq: int, given: Input, session: Session | bytes = b"") -> Step:
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


async def test_it_announces_itself_and_answers_a_step_that_asks_nothing(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(_step(0, Connected("127.0.0.1")))
        done = await stage.answered(0)
        assert done.replies.startswith(b"220 ")
        assert isinstance(stage.gateway.received[0], WorkerAlive)
        assert not stage.gateway.received[0].draining
        await until(lambda: len(stage.store.of(Ping)) >= 2)


async def test_a_question_goes_to_the_store_and_its_outcome_into_the_reply(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        (ask,) = await stage.asked(1)
        assert ask.question == Lookup("maria", "example.com")
        await until(lambda: stage.gateway.of(WorkerAlive)[-1].in_flight == 1)
        # A step that waits does not hold up another.
        stage.gateway.send(_step(2, Lines((b"NOOP",)), _GREETED))
        await stage.answered(2)
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        assert (await stage.answered(1)).replies.startswith(b"250 2.1.5 ")


async def test_what_is_remembered_of_the_store_is_no_answer_to_give_again(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        (ask,) = await stage.asked(1)
        stage.store.send(Answer(ask.request, Found("maria@example.com", True, 7), 7))
        first = await stage.answered(1)
        assert (first.again, first.epoch, first.heard) == (STORE_AGAIN, 7, 7)
        stage.gateway.send(_step(2, _RCPT, _SENDER))
        await until(
            lambda: len(stage.store.of(Ask)) == 2 or any(done.seq == 2 for done in stage.gateway.of(StepDone))
        )
        # On a machine that sleeps meanwhile it is asked for by now.
        if len(stage.store.of(Ask)) == 1:
            second = await stage.answered(2)
            # Who has heard that the epoch is 7 still may take it for an answer; this step has not.
            assert (second.again, second.epoch, second.heard) == (0, 7, 0)
            assert second.replies == first.replies


async def test_a_store_that_has_restarted_is_asked_again(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.store.send(Pong("one"))
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        (ask,) = await stage.asked(1)
        stage.store.bus.close(linger=0)
        stage.store = Peer(stage.context, stage.endpoints["store"])
        await until(lambda: stage.store.of(Ping))
        stage.store.send(Pong("two"))
        assert (await stage.asked(1)) == [ask]
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        assert (await stage.answered(1)).replies.startswith(b"250 2.1.5 ")


async def test_a_question_that_was_lost_on_the_way_to_the_store_is_asked_again(folder: Path) -> None:
    async with staged(folder) as stage:
        await until(lambda: stage.store.of(Ping))
        stage.store.send(Pong("one", stage.store.of(Ping)[-1].number))
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        (ask,) = await stage.asked(1)
        behind = stage.store.of(Ping)[-1].number + 1
        # As if it had never come, and a Ping behind it has.
        await until(lambda: stage.store.of(Ping)[-1].number >= behind)
        stage.store.send(Pong("one", behind))
        assert (await stage.asked(2)) == [ask, ask]
        # Nobody has to wait for it any longer.
        stage.store.send(Answer(ask.request, Found("maria@example.com")))


async def test_a_gateway_that_wants_to_know_how_far_the_worker_is_is_told_which_steps_it_has(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        stage.gateway.send(Ping(7))
        await until(lambda: [alive for alive in stage.gateway.of(WorkerAlive) if alive.ping == 7])
        (alive,) = (alive for alive in stage.gateway.of(WorkerAlive) if alive.ping)
        assert alive.sessions == (_step(1, _RCPT, _SENDER).session,)
        (ask,) = await stage.asked(1)
        stage.store.send(Answer(ask.request, Found("maria@example.com")))


async def test_a_store_that_does_not_answer_becomes_a_4xx(folder: Path) -> None:
    async with staged(folder, store_seconds=0.3) as stage:
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        done = await stage.answered(1)
        assert done.replies.startswith(b"451 4.3.2 ")
        assert done.next == ReadLines()
        # Its answer, when it comes after all, is to nothing.
        stage.store.send(Answer(stage.store.of(Ask)[0].request, Found("maria@example.com")))
        stage.gateway.send(_step(2, Lines((b"NOOP",)), _GREETED))
        await stage.answered(2)


async def test_a_store_that_does_not_answer_is_waited_for_once_in_a_step(folder: Path) -> None:
    async with staged(folder, store_seconds=0.6) as stage:
        recipients = [b"RCPT TO:<u%d@example.com>" % number for number in range(100)]
        stage.gateway.send(_step(1, Lines((*recipients, b"NOOP")), _SENDER))
        done = await stage.answered(1)
        assert done.replies.count(b"451 4.3.2 ") == len(recipients)
        assert (done.consumed, done.replies[-60:].count(b"\r\n250 ")) == (101, 1)
        assert len({ask.request for ask in stage.store.of(Ask)}) == 1
        # The next step asks again.
        stage.gateway.send(_step(2, _RCPT, _SENDER))
        await until(lambda: len({ask.request for ask in stage.store.of(Ask)}) == 2)
        stage.store.send(Answer(stage.store.of(Ask)[-1].request, Found("maria@example.com")))
        assert (await stage.answered(2)).replies.startswith(b"250 2.1.5 ")


async def test_the_store_may_act_for_a_step_only_so_long_after_it_was_sent(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(replace(_step(1, _RCPT, _SENDER), waited=7_000))
        (ask,) = await stage.asked(1)
        assert ask.deadline == _step(1, _RCPT).time + 7_000 + 30_000
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        await stage.answered(1)


async def test_a_worker_told_to_stop_finishes_its_steps_and_takes_no_other(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        (ask,) = await stage.asked(1)
        stage.worker.stop()
        await until(lambda: stage.gateway.of(WorkerAlive)[-1].draining)
        stage.gateway.send(_step(2, Lines((b"NOOP",)), _GREETED))
        await until(lambda: stage.gateway.of(StepRefused))
        assert stage.gateway.of(StepRefused) == [StepRefused("s-1", 2, "draining")]
        assert stage.gateway.of(WorkerGone) == []
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        await until(lambda: stage.gateway.of(WorkerGone))
        assert isinstance(stage.gateway.received[-2], StepDone)


async def test_steps_that_do_not_end_are_left_behind_at_the_limit(folder: Path) -> None:
    async with staged(folder, shutdown_seconds=0.1) as stage:
        stage.gateway.send(_step(1, _RCPT, _SENDER))
        await stage.asked(1)
        stage.worker.stop()
        await until(lambda: stage.gateway.of(WorkerGone))
        assert stage.gateway.of(StepDone) == []


async def test_a_state_of_a_newer_release_is_handed_back(folder: Path) -> None:
    newer = state.msgpack.packb({"version": state.VERSION + 1})

    async with staged(folder) as stage:
        stage.gateway.send(_step(1, Lines((b"NOOP",)), newer))
        await until(lambda: stage.gateway.of(StepRefused))
        assert stage.gateway.of(StepRefused) == [StepRefused("s-1", 1, "state")]


async def test_a_state_that_is_none_is_counted_and_closes_that_session_alone(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(_step(1, Lines((b"NOOP",)), b"garbage"))
        done = await stage.answered(1)
        assert done.replies.startswith(b"421 4.3.0 ")
        assert done.next == Close()
        assert stage.worker.bad_states == 1
        stage.gateway.send(_step(2, Lines((b"NOOP",)), _GREETED))
        assert (await stage.answered(2)).replies.startswith(b"250 ")


async def test_a_fault_of_the_dialogue_is_logged_and_closes_that_session_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> Iterator[object]:
        raise ZeroDivisionError
        yield

    async with staged(folder) as stage:
        with monkeypatch.context() as patched:
            patched.setattr("session_worker.dialogue.steps.run", fails)
            stage.gateway.send(_step(1, Lines((b"secret",)), _GREETED))
            done = await stage.answered(1)
        assert done.replies.startswith(b"421 4.3.0 ")
        stage.gateway.send(_step(2, Lines((b"NOOP",)), _GREETED))
        assert (await stage.answered(2)).replies.startswith(b"250 ")

    assert "s-1: the dialogue failed" in caplog.text
    assert "secret" not in caplog.text


async def test_messages_that_make_no_sense_are_counted_and_dropped(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(WorkerGone())
        stage.store.send(_step(9, Lines((b"NOOP",)), _GREETED))
        stage.store.send(Answer(77, Found("x")))
        for frames in ([b"x"], [PROTOCOL, b"\xc1"], [b"correio/2", b"\x90"], [b""] * 3):
            stage.gateway.socket.send_multipart([stage.gateway.worker, *frames])
            stage.store.socket.send_multipart([stage.store.worker, *frames])
        await until(lambda: stage.worker.unexpected == 2)
        stage.gateway.send(_step(2, Lines((b"NOOP",)), _GREETED))
        assert (await stage.answered(2)).replies.startswith(b"250 ")
        assert stage.store.of(StepDone) == []


async def test_it_is_ready_while_the_store_answers(folder: Path) -> None:
    ready = folder / "ready"

    async with staged(folder, ready_file=str(ready)) as stage:
        assert not ready.exists()
        await until(lambda: (stage.store.send(Pong("one")), ready.exists())[1])
        await until(lambda: not ready.exists())


@contextlib.contextmanager
def _process(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    given = {"GATEWAY_ENDPOINT": f"ipc://{folder}/g", "STORE_ENDPOINT": f"ipc://{folder}/s", **environment}
    with subprocess.Popen(
        [sys.executable, "-m", "session_worker"],
        env=os.environ | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_process_in_order(folder: Path, number: signal.Signals) -> None:
    with _process(folder) as process:
        assert process.stdout is not None
        assert "serving correio.localhost" in process.stdout.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert "stopped: 0 steps unfinished" in rest


def test_an_endpoint_that_is_none_is_one_clear_line(folder: Path) -> None:
    with _process(folder, GATEWAY_ENDPOINT="tcp://nowhere") as process:
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert errors == "session_worker: cannot connect to tcp://nowhere: Invalid argument\n"
