"""A server of one's own: it takes mail, its troubles are told, and nothing of it is left."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from client import private_stack
from client.private_stack import PrivateStack, StackError
from tests.stack import ROOT, wait_until

pytestmark = pytest.mark.stack


def test_it_takes_mail_and_leaves_nothing() -> None:
    with PrivateStack(["ana@example.com"], {"DOMAIN": "mail.example.com"}) as stack:
        with smtplib.SMTP(stack.host, stack.port) as session:
            assert session.ehlo()[1].startswith(b"mail.example.com")
            session.sendmail("bo@example.net", ["ana@example.com"], "Subject: x\r\n\r\ntext\r\n")
        assert b"Subject: x" in (stack.mailboxes / "ana@example.com.txt").read_bytes()
        processes = list(stack._processes.values())
        assert "waiting for connections" in stack.log("gateway")
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert not stack.folder.exists()


def test_its_port_may_be_taken_by_another_in_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = private_stack._free_port
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [other.getsockname()[1]]
        monkeypatch.setattr(private_stack, "_free_port", lambda host: ports.pop() if ports else free_port(host))
        with PrivateStack(["ana@example.com"]) as stack:
            assert stack.port != other.getsockname()[1]


def test_a_server_that_has_its_port_already_is_not_taken_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = private_stack._free_port
    with PrivateStack(["ana@example.com"]) as other:
        ports = [other.port]
        monkeypatch.setattr(private_stack, "_free_port", lambda host: ports.pop() if ports else free_port(host))
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
    assert stack._processes == {}


def test_libraries_that_are_missing_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_stack, "find_spec", lambda name: None if name == "zmq" else object())
    said = r"needs zmq: in correio's checkout, pip install '\.\[stack\]'"
    with pytest.raises(StackError, match=said), PrivateStack(["a@b"]):
        pass


def test_services_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(private_stack, "__file__", str(tmp_path / "x" / "private_stack.py"))
    with pytest.raises(StackError, match="install correio again"):
        private_stack.services_folder()


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
        "import sys, time\nfrom client.private_stack import PrivateStack\n"
        "with PrivateStack(['ana@example.com']) as stack:\n"
        "    print(stack.folder, *(each.pid for each in stack._processes.values()), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        owner.kill()
    wait_until(lambda: not any(is_alive(int(pid)) for pid in pids), "the services end")
    # Of a killed program the folder stays, as its other temporary files do.
    for path in sorted(Path(folder).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    Path(folder).rmdir()


def is_alive(pid: int) -> bool:
    """Whether it runs; one that has ended and that nobody waits for does not (proc(5): Z)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
