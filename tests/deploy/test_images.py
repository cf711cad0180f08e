"""Images are named after what they are made from, and need no base that is not at hand."""

from __future__ import annotations

import shutil
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
    assert images._base_image(lambda _: None) == images.LOCAL_BASE
    assert all(arguments[0] == "image" for arguments in asked)
