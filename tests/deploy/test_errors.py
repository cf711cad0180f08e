"""How the tool tells what is wrong."""

from __future__ import annotations

import sys

import pytest

from deploy import __main__ as tool
from deploy import stack
from deploy.errors import DeployError, ServiceFailed


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DeployError("PORT=1: no", 78), "make up: PORT=1: no\n"),
        (DeployError("no", 78, details="a log\nof two lines"), "make up: no\na log\nof two lines\n"),
        (ServiceFailed("store: users.txt:1: no", 78), "store: users.txt:1: no\n"),
    ],
)
def test_the_line_comes_first_and_the_status_is_the_error_s(
    error: DeployError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(stack, "up", fail)
    monkeypatch.setattr(sys, "argv", ["deploy", "up"])
    assert tool.main() == 78
    assert capsys.readouterr().err == said
