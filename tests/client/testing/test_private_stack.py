"""A server of one's own: it takes mail, its troubles are told, and nothing of it is left."""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from client.stack.owned_stack import StackError
from client.testing import private_stack
from client.testing.private_stack import PrivateStack
from tests.conditions import wait_until
from tests.deploy.deploying import processes_of
from tests.stack import ROOT

pytestmark = pytest.mark.stack


def test_it_takes_mail_and_leaves_nothing() -> None:
    with PrivateStack(["ana@example.com"], {"DOMAIN": "mail.example.com"}) as stack:
        with smtplib.SMTP(stack.host, stack.port) as session:
            assert session.ehlo()[1].startswith(b"mail.example.com")
            session.sendmail("bo@example.net", ["ana@example.com"], "Subject: x\r\n\r\ntext\r\n")
        assert b"Subject: x" in (stack.mailboxes / "ana@example.com.txt").read_bytes()
        assert len(processes_of(stack.folder / "run")) == 4  # supervisord, gateway, store, worker
        assert "waiting for connections" in stack.log("gateway")
    assert processes_of(stack.folder / "run") == []
    assert not stack.folder.exists()


def test_its_port_may_be_taken_by_another_in_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = private_stack.free_port
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [other.getsockname()[1]]
        monkeypatch.setattr(private_stack, "free_port", lambda: ports.pop() if ports else free_port())
        with PrivateStack(["ana@example.com"]) as stack:
            assert stack.port != other.getsockname()[1]


def test_a_server_that_has_its_port_already_is_not_taken_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = private_stack.free_port
    with PrivateStack(["ana@example.com"]) as other:
        ports = [other.port]
        monkeypatch.setattr(private_stack, "free_port", lambda: ports.pop() if ports else free_port())
        with PrivateStack(["eva@example.org"]) as stack, smtplib.SMTP(stack.host, stack.port) as session:
            assert stack.port != other.port
            session.sendmail("bo@example.net", ["eva@example.org"], "Subject: x\r\n\r\ntext\r\n")


@pytest.mark.parametrize(
    ("users", "settings", "said"),
    [
        (["ana"], {}, "users.txt:1: "),
        ([], {}, "users.txt"),
        (["ana@example.com"], {"PROFILE": "lax"}, "session_worker: PROFILE=lax: "),
        (["ana@example.com"], {"IDLE_SECONDS": "x"}, "gateway: IDLE_SECONDS=x: "),
        (["ana@example.com"], {"PORTT": "1"}, "PORTT: there is no such setting; did you mean PORT?"),
    ],
)
def test_what_keeps_it_from_starting_is_told_and_nothing_is_left(
    users: list[str], settings: dict[str, str], said: str
) -> None:
    stack = PrivateStack(users, settings)
    with pytest.raises(StackError) as raised, stack:
        pass
    assert said in str(raised.value)
    assert not stack.folder.exists()
    assert processes_of(stack.folder / "run") == []


def test_sockets_have_short_paths_however_long_the_name_of_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    folder = private_stack._short_folder()
    folder.rmdir()
    assert len(str(folder)) < 50
    assert list(long.iterdir()) == []


def test_it_ends_with_a_program_that_is_killed() -> None:
    program = (
        "import sys, time\nfrom client.testing.private_stack import PrivateStack\n"
        "with PrivateStack(['ana@example.com']) as stack:\n"
        "    print(stack.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert len(processes_of(folder / "run")) == 4
        owner.kill()
    wait_until(lambda: not processes_of(folder / "run"), "the services end")
    # Of a killed program the folder stays, as its other temporary files do.
    shutil.rmtree(folder)
