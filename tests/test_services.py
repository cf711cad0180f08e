"""What the three services have in common as processes: a signal ends them in order, an error is one line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conditions import DEADLINE
from tests.stack import ROOT, free_port


@contextmanager
def process(folder: Path, service: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A service alone, whose files and sockets are in the folder."""
    (folder / "users.txt").write_text("ana@b.example\n")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PORT": str(free_port()),
        "JOURNAL": "journal/journal",
        "GATEWAY_ENDPOINT": f"ipc://{folder}/gateway",
        "STORE_ENDPOINT": f"ipc://{folder}/store",
    }
    command = [sys.executable, "-m", service]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=environment | settings, stdout=pipe, stderr=pipe, text=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("service", "ready", "end"),
    [
        ("gateway", "waiting for connections on 127.0.0.1:", "stopped"),
        ("session_worker", "serving correio.localhost", "stopped: 0 steps unfinished"),
        ("mailbox_store", "= ready on ", "= stopped"),
    ],
)
def test_a_signal_ends_it_in_order(folder: Path, service: str, ready: str, end: str, number: signal.Signals) -> None:
    with process(folder, service) as started:
        assert started.stdout is not None
        assert any(ready in line for line in started.stdout)
        started.send_signal(number)
        output, errors = started.communicate(timeout=DEADLINE)
    assert (started.returncode, errors) == (0, "")
    assert output.rstrip().endswith(end)


IN_USE = "cannot listen there: Address already in use"


@pytest.mark.parametrize(
    ("service", "setting", "status", "said"),
    [
        ("gateway", "PORT={port}", 1, "gateway: cannot listen on 127.0.0.1:{port}: "),
        ("gateway", "METRICS=127.0.0.1:{port}", 1, f"gateway: METRICS=127.0.0.1:{{port}}: {IN_USE}\n"),
        ("session_worker", "METRICS=127.0.0.1:{port}", 1, f"session_worker: METRICS=127.0.0.1:{{port}}: {IN_USE}\n"),
        ("mailbox_store", "METRICS=127.0.0.1:{port}", 1, f"store: METRICS=127.0.0.1:{{port}}: {IN_USE}\n"),
        ("gateway", "IDLE_SECONDS=soon", 78, "gateway: IDLE_SECONDS=soon: "),
        (
            "session_worker",
            "GATEWAY_ENDPOINT=tcp://nowhere",
            1,
            "session_worker: cannot connect to tcp://nowhere: Invalid argument\n",
        ),
    ],
)
def test_what_keeps_it_from_starting_is_one_clear_line(
    folder: Path, service: str, setting: str, status: int, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        name, _, value = setting.replace("{port}", port).partition("=")
        with process(folder, service, **{name: value}) as started:
            _, errors = started.communicate(timeout=DEADLINE)
    assert (started.returncode, errors.count("\n")) == (status, 1)
    assert errors.startswith(said.replace("{port}", port))
