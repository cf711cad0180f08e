"""The docker commands: what is said when they fail or are missing. Needs no engine."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deploy import engine
from deploy.errors import DeployError


@pytest.fixture
def docker_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a docker command of our own before all others."""

    def make(script: str) -> None:
        command = tmp_path / "docker"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return make


def test_of_many_lines_the_error_is_told(docker_says) -> None:
    docker_says("echo 'Step 1'; echo 'Error: no room' >&2; echo 'see the manual' >&2; exit 1")
    with pytest.raises(DeployError, match=r"^docker build: Error: no room$") as caught:
        engine.docker("build", ".")
    assert caught.value.details == "Error: no room\nsee the manual"


def test_a_command_that_does_not_end_is_given_up(docker_says) -> None:
    docker_says("exec sleep 60")
    with pytest.raises(DeployError, match="docker ps: no end after"):
        engine.docker("ps", timeout=0.2)


def test_standard_error_is_returned_where_it_is_wanted(docker_says) -> None:
    docker_says("echo out; echo err >&2")
    assert engine.docker("logs", "x") == "out\n"
    assert engine.docker("logs", "x", with_errors=True) == "out\nerr\n"


def test_without_an_engine_the_reason_is_told(docker_says, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker_says("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert engine.why_not() == "no Docker engine answers (docker version: Cannot connect to the Docker daemon)"
    (tmp_path / "docker").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.why_not() == "the docker command is not installed"
