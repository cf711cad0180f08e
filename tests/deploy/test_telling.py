"""How the tool tells what is wrong."""

from __future__ import annotations

import errno
import sys

import pytest

from deploy import __main__ as tool
from deploy import start
from deploy.telling import DeployError, ServiceFailed


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
    assert _status_of_up_that_raises(error, monkeypatch) == 78
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/cd/x.new"), "make up: /cd/x.new: Read-only file system\n"),
        (OSError(errno.ENOSPC, "No space left on device", b"/cd/y"), "make up: /cd/y: No space left on device\n"),
        (OSError(errno.EPIPE, "Broken pipe"), "make up: Broken pipe\n"),
        (OSError("odd"), "make up: odd\n"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_its_path(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status_of_up_that_raises(error, monkeypatch) == 1
    assert capsys.readouterr().err == said


def _status_of_up_that_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(start, "up", fail)
    monkeypatch.setattr(sys, "argv", ["deploy", "up"])
    return tool.main()
