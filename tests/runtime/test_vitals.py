"""Signs of life: a file that is there and fresh while the service is ready, and what systemd is told."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path

import pytest

from runtime import VERSION
from runtime.vitals import Vitals


def test_a_beat_makes_the_file_young_and_tells_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    vitals = Vitals("gateway", str(path))
    vitals.beat(True, {"connections": 1})
    os.utime(path, (0, 0))
    vitals.beat(True, {"connections": 2})
    assert path.stat().st_mtime > 1_000_000
    told = json.loads(path.read_text())
    assert (told["service"], told["version"], told["pid"]) == ("gateway", VERSION, os.getpid())
    assert told["connections"] == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_service_that_is_not_ready_has_no_file_and_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    vitals = Vitals("gateway", str(path))
    vitals.beat(True)
    vitals.beat(False, why_not="there is no worker")
    vitals.beat(False, why_not="there is no worker")
    assert not path.exists()
    assert (vitals.ready, vitals.why_not) == (False, "there is no worker")


def test_the_file_may_carry_the_name_of_the_machine(tmp_path: Path) -> None:
    Vitals("session_worker", str(tmp_path / "worker-{host}")).beat(True)
    assert (tmp_path / f"worker-{socket.gethostname()}").exists()


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Vitals("gateway").beat(True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_kept_is_told_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vitals = Vitals("gateway", str(tmp_path / "missing" / "ready"))
    vitals.beat(True)
    vitals.beat(True)
    assert vitals.ready
    assert len(caplog.records) == 1


def test_a_loop_that_stands_still_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    vitals = Vitals("gateway")
    vitals.beat(True)
    now = 104.0
    assert vitals.alive
    now = 106.0
    assert not vitals.alive


def test_systemd_is_told_once_that_it_is_ready_then_that_it_lives_then_that_it_stops(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(5)
        vitals = Vitals("gateway", notify=address)
        vitals.beat(False)
        vitals.beat(True)
        vitals.beat(True)
        vitals.leave()
        told = [systemd.recv(1000) for _ in range(5)]
    assert told == [b"WATCHDOG=1", b"WATCHDOG=1\nREADY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_systemd_that_does_not_listen_ends_nothing(tmp_path: Path) -> None:
    vitals = Vitals("gateway", notify=str(tmp_path / "nobody"))
    vitals.beat(True)
    vitals.leave()


def test_a_ready_service_may_be_kept_from_its_work(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    vitals = Vitals("store", str(path))
    vitals.beat(True, {"users": 2}, "not told of one that is ready", hindrance="no room")
    assert (vitals.ready, vitals.why_not) == (True, "no room")
    told = json.loads(path.read_text())
    assert (told["why_not"], told["users"]) == ("no room", 2)
    vitals.beat(True, {"users": 2})
    assert vitals.why_not == ""
    assert "why_not" not in json.loads(path.read_text())


def test_a_full_disk_leaves_the_file_and_it_still_tells_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ready"
    vitals = Vitals("store", str(path))
    vitals.beat(True, {"users": 1_000_000})
    os.utime(path, (0, 0))

    def full(file: Path, _: bytes) -> int:
        file.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    vitals.beat(True, {"users": 2}, "not told of one that is ready", hindrance="no room")
    assert path.stat().st_mtime > 1_000_000
    told = json.loads(path.read_text())
    assert (told["why_not"], told["users"]) == ("no room", 2)
    assert list(tmp_path.iterdir()) == [path]
    assert not caplog.records
