"""A worker's life: it says that it is there, and leaves in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conditions import until
from tests.session_worker.stage import GREETED, RCPT, SENDER, Peer, staged, step
from wire.messages import (
    Answer,
    Connected,
    Lines,
    Ping,
    Pong,
    StepDone,
    StepRefused,
    WorkerAlive,
    WorkerGone,
)
from wire.outcomes import Found


async def test_it_announces_itself_and_answers_a_step_that_asks_nothing(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(step(0, Connected()))
        done = await stage.answered(0)
        assert done.replies.startswith(b"220 ")
        assert isinstance(stage.gateway.received[0], WorkerAlive)
        assert not stage.gateway.received[0].draining
        await until(lambda: len(stage.store.of(Ping)) >= 2)


async def test_it_is_known_once_it_is_connected_not_with_its_next_heartbeat(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_worker.worker.HEARTBEAT_SECONDS", 3600)
    async with staged(folder) as stage:
        # Both know it by now. A gateway that comes back is not there when the next heartbeat is due.
        stage.gateway.bus.close(linger=0)
        service = stage.worker.service
        await until(lambda: service.say_alive() or service._knocking)
        stage.gateway = Peer(stage.context, stage.endpoints["gateway"])
        await until(lambda: stage.gateway.of(WorkerAlive))


async def test_a_worker_told_to_stop_finishes_its_steps_and_takes_no_other(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(step(1, RCPT, SENDER))
        (ask,) = await stage.asked(1)
        stage.worker.stop()
        await until(lambda: stage.gateway.of(WorkerAlive)[-1].draining)
        stage.gateway.send(step(2, Lines((b"NOOP",)), GREETED))
        await until(lambda: stage.gateway.of(StepRefused))
        assert stage.gateway.of(StepRefused) == [StepRefused("s-1", 2, "draining")]
        assert stage.gateway.of(WorkerGone) == []
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        await until(lambda: stage.gateway.of(WorkerGone))
        assert isinstance(stage.gateway.received[-2], StepDone)


async def test_steps_that_do_not_end_are_left_behind_at_the_limit(folder: Path) -> None:
    async with staged(folder, shutdown_seconds=0.1) as stage:
        stage.gateway.send(step(1, RCPT, SENDER))
        await stage.asked(1)
        stage.worker.stop()
        await until(lambda: stage.gateway.of(WorkerGone))
        assert stage.gateway.of(StepDone) == []


async def test_it_is_ready_while_the_store_answers(folder: Path) -> None:
    ready = folder / "ready"

    async with staged(folder, ready_file=str(ready)) as stage:
        assert not ready.exists()
        await until(lambda: (stage.store.send(Pong("one")), ready.exists())[1])
        await until(lambda: not ready.exists())
