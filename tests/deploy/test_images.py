"""Images are named after what they are made from, and need no base that is not at hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy import images
from deploy.errors import DeployError
from tests.stack import ROOT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("wire", "runtime", *images.SERVICES):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(images, "_ROOT", tmp_path)
    monkeypatch.setattr(images, "_LOCK", tmp_path / "wire" / "SPEC.md")
    monkeypatch.setattr(images, "_sources", lambda: sorted(p for p in tmp_path.rglob("*.py")))
    monkeypatch.setattr(images, "docker", lambda *_, **__: "sha256:base")
    return tmp_path


def test_the_tag_changes_with_any_source_and_only_then(checkout: Path) -> None:
    before = images._tag("base")
    assert images._tag("base") == before
    with (checkout / "gateway" / "framing.py").open("a") as source:
        source.write("\n")
    assert images._tag("base") != before


def test_a_base_that_is_at_hand_is_taken_without_asking_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def docker(*arguments: str, **_: object) -> str:
        asked.append(arguments)
        if arguments[-1] == images.LOCAL_BASE:
            return "sha256:base"
        raise DeployError("no such image")

    monkeypatch.setattr(images, "docker", docker)
    assert images.base_image(lambda _: None) == images.LOCAL_BASE
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
        images.base_image(lambda _: None)


@pytest.mark.usefixtures("nothing_ends")
def test_libraries_that_do_not_come_in_time_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(images, "docker", lambda *_, **__: "amd64\n")
    rule = "^cannot download the libraries: pip download: no end after 600 s$"
    with pytest.raises(DeployError, match=rule):
        images.have_wheels(lambda _: None)
