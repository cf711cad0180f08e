"""The docker commands: what is said when they fail or are missing; images are named after what they are made from,
and need no base that is not at hand. Needs no engine.
"""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from deploy import engine
from deploy.telling import DeployError
from tests.stack import ROOT


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


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("mail", "wire", "runtime", *engine.SERVICES):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(engine, "_ROOT", tmp_path)
    monkeypatch.setattr(engine, "_LOCK", tmp_path / "wire" / "SPEC.md")
    monkeypatch.setattr(engine, "_sources", lambda: sorted(p for p in tmp_path.rglob("*.py")))
    monkeypatch.setattr(engine, "docker", lambda *_, **__: "sha256:base")
    return tmp_path


def test_the_tag_changes_with_any_source_and_only_then(checkout: Path) -> None:
    before = engine._tag("base")
    assert engine._tag("base") == before
    with (checkout / "gateway" / "framing.py").open("a") as source:
        source.write("\n")
    assert engine._tag("base") != before


def test_a_base_that_is_at_hand_is_taken_without_asking_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def docker(*arguments: str, **_: object) -> str:
        asked.append(arguments)
        if arguments[-1] == engine.LOCAL_BASE:
            return "sha256:base"
        raise DeployError("no such image")

    monkeypatch.setattr(engine, "docker", docker)
    assert engine.base_image(lambda _: None) == engine.LOCAL_BASE
    assert all(arguments[0] == "image" for arguments in asked)


@pytest.fixture
def nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.usefixtures("nothing_ends")
def test_a_base_image_that_is_not_made_in_time_is_one_line() -> None:
    rule = r"^no base image, give one with BASE=image or MODE=processes: base-image\.sh: no end after 1200 s$"
    with pytest.raises(DeployError, match=rule):
        engine.base_image(lambda _: None)


@pytest.mark.usefixtures("nothing_ends")
def test_libraries_that_do_not_come_in_time_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(engine, "docker", lambda *_, **__: "amd64\n")
    rule = "^cannot download the libraries: pip download: no end after 600 s$"
    with pytest.raises(DeployError, match=rule):
        engine.have_wheels(lambda _: None)
