"""A worker's life: it says that it is there, and leaves in order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conditions import until
from tests.session_worker.stage import GREETED, RCPT, SENDER, staged, step
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
