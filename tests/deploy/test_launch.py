"""A program of an owned stack ends with its owner, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import launch
from tests.stack import ROOT

SERVICE = """
import signal, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
print("up", sys.argv[1:], flush=True)
while not stop.wait(0.05):
    pass
print("stopped in order", flush=True)
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    (tmp_path / "service.py").write_text(SERVICE)
    return tmp_path


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "deploy.launch", "service", "an", "--argument"],
        env={"PYTHONPATH": f"{folder}:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("how", ["closed", "terminated"])
def test_it_stops_in_order_when_its_owner_is_gone_or_says_so(service: Path, how: str) -> None:
    with start(service) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"up ['an', '--argument']\n"
        if how == "closed":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"stopped in order\n"
        assert process.wait(20) == 0


def test_what_the_owner_says_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *about: told.append(about))
    reading, writing = os.pipe()
    os.write(writing, b"x" * 100)
    os.close(writing)
    launch.follow_owner(reading)
    os.close(reading)
    assert told == [(os.getpid(), signal.SIGTERM)]
