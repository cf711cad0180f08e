"""The Makefile: settings reach the tool from the command line, and a Python that will not do is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.deploy.deploying import environment, processes_of
from tests.stack import ROOT, free_port


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT), *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_make_alone_tells_what_there_is() -> None:
    said = make().stdout
    for target in ("up", "down", "status", "logs", "test", "lint", "lock", "clean"):
        assert f"  make {target} " in said


@pytest.mark.stack
def test_settings_on_the_command_line_count(folder: Path) -> None:
    (folder / "users.txt").write_text("ana@example.com\n")
    port = free_port()
    run = f"RUN={folder}/run"
    paths = (f"USERS={folder}/users.txt", f"MAILBOXES={folder}/boxes", run)
    try:
        done = make("up", "MODE=processes", f"PORT={port}", "WORKERS=3", *paths)
        assert done.returncode == 0, done.stderr
        assert f"port {port}" in done.stdout
        assert (folder / "boxes" / "ana@example.com.txt").exists()
        assert "session_worker_3" in make("status", run).stdout
    finally:
        assert make("down", run).returncode == 0
    assert processes_of(folder / "run") == []


def test_a_setting_with_a_typing_error_starts_nothing(folder: Path) -> None:
    done = make("up", "MODE=processes", "METRIC_PORT=9120", f"RUN={folder}/run")
    assert done.stderr.startswith("make up: METRIC_PORT: there is no such setting; did you mean METRICS_PORT?\n")
    assert not (folder / "run").exists()


@pytest.mark.parametrize("target", ["down", "status", "logs", "restart-workers", "restart-store", "restart-gateway"])
def test_a_typing_error_stops_no_stack_and_shows_no_other_one(target: str) -> None:
    done = make(target, "RUM=/tmp/other")
    assert done.stderr.startswith(f"make {target}: RUM: there is no such setting; did you mean RUN?\n")


def test_the_logs_have_settings_of_their_own(folder: Path) -> None:
    done = make("logs", f"RUN={folder}/run", "TAIL=all", "FOLLOW=no", "PORT=2525")
    assert done.stderr.startswith(f"make logs: not running (RUN={folder}/run)\n")
    assert make("down", f"RUN={folder}/run", "TAIL=all").stderr.startswith(
        "make down: TAIL: there is no such setting"
    )


def test_an_old_python_is_named_and_nothing_is_made(folder: Path) -> None:
    old = folder / "python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2 && exit\nexit 1\n')
    old.chmod(0o755)
    done = make("up", f"PYTHON={old}", f"VENV={folder}/venv")
    assert done.returncode != 0
    assert done.stderr.startswith(f"PYTHON={old}: Python 3.9.2 is too old; Correio needs 3.11")
    done = make("up", "PYTHON=no-such-python", f"VENV={folder}/venv")
    assert done.stderr.startswith("PYTHON=no-such-python: no such command")
    assert not (folder / "venv").exists()
