from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.__main__ import main
from client.commands import doctor
from client.stack.checks import FAILED, OK, WARNING, Finding

SOUND = Finding("python", OK, "3.11")
ODD = Finding("docker", WARNING, "no engine", "start Docker")
ILL = Finding("disk", FAILED, "0 MiB free", "make room")


def run(monkeypatch: pytest.MonkeyPatch, *findings: Finding, arguments: tuple[str, ...] = ()) -> tuple[int, str]:
    monkeypatch.setattr(doctor, "checks", lambda *_: iter(findings))
    result = CliRunner().invoke(main, ["doctor", *arguments])
    return result.exit_code, result.output


def test_what_is_wrong_comes_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    status, output = run(monkeypatch, SOUND, ILL)
    assert status == 1
    assert output.splitlines() == [
        "ok       python     3.11",
        "failed   disk       0 MiB free",
        "                    -> make room",
    ]


def test_a_warning_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, SOUND, ODD)[0] == 0


def test_programs_get_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    _, output = run(monkeypatch, ILL, arguments=("--json",))
    assert json.loads(output) == [{"check": "disk", "state": "failed", "what": "0 MiB free", "advice": "make room"}]


def test_it_looks_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(doctor, "checks", lambda *about: asked.extend(about) or iter([SOUND]))
    CliRunner().invoke(main, ["--port", "2525", "doctor", "--users", "u"], env={"MAILBOXES": "boxes"})
    assert asked[1:] == [Path("u"), Path("boxes")]
    assert asked[0].port == 2525
