"""A stack of one's own: it lives with its owner and is stopped in order; what keeps it from starting is told."""

from __future__ import annotations

import os
import signal
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.stack import owned_stack
from client.stack.owned_stack import OwnedStack, StackError
from tests.conditions import wait_until
from tests.deploy.deploying import deploy, environment, processes_of
from tests.stack import Connection, free_port

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(folder: Path) -> dict[str, str]:
    (folder / "users.txt").write_text("ana@example.com\n")
    paths = {"USERS": str(folder / "users.txt"), "MAILBOXES": str(folder / "mailboxes")}
    return environment(PORT=str(free_port()), WORKERS="1", SHUTDOWN_SECONDS="30", **paths)


@pytest.fixture
def stack(folder: Path, settings: dict[str, str]) -> Iterator[OwnedStack]:
    """One that takes mail; at the end nothing of it is left, whatever the test has done."""
    stack = OwnedStack(folder / "run", settings)
    stack.start()
    yield stack
    stack.let_go()
    wait_until(lambda: processes_of(folder / "run") == [], "it ends with its owner")


def test_it_takes_mail_until_it_is_stopped(folder: Path, settings: dict[str, str], stack: OwnedStack) -> None:
    with smtplib.SMTP("127.0.0.1", int(settings["PORT"])) as session:
        session.sendmail("bo@example.net", ["ana@example.com"], "Subject: x\r\n\r\ntext\r\n")
    assert not stack.ended()
    assert stack.finish()
    assert processes_of(folder / "run") == []
    stack.stop()
    assert not (folder / "run" / "stack.json").exists()
    assert b"Subject: x" in (folder / "mailboxes" / "ana@example.com.txt").read_bytes()


def test_what_dies_is_started_again(folder: Path, settings: dict[str, str], stack: OwnedStack) -> None:
    with Connection(int(settings["PORT"])) as session:
        session.begin("ana@example.com")
        for pid in processes_of(folder / "run"):
            if b"session_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        assert session.command("typed by hand\r\n.").startswith("250 2.0.0")


def test_it_ends_by_itself_when_its_owner_does(folder: Path, stack: OwnedStack) -> None:
    stack.let_go()
    wait_until(lambda: processes_of(folder / "run") == [], "it ends")
    assert processes_of(folder / "run") == []


def test_its_services_do_not_outlive_a_supervisor_that_was_killed(folder: Path, stack: OwnedStack) -> None:
    os.kill(int((folder / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
    assert stack.ended(30)
    wait_until(lambda: processes_of(folder / "run") == [], "the services end")


def test_others_see_it_in_its_folder_and_can_stop_it(folder: Path, stack: OwnedStack) -> None:
    assert deploy("status", folder).returncode == 0
    assert deploy("restart-workers", folder).returncode == 0
    assert deploy("down", folder).returncode == 0
    assert stack.ended(30)


def test_a_stop_at_once_waits_for_no_transaction(folder: Path, settings: dict[str, str], stack: OwnedStack) -> None:
    with Connection(int(settings["PORT"])) as session:
        session.begin("ana@example.com")
        assert not stack.finish(0.1)
        stack.stop()
        assert processes_of(folder / "run") == []
        assert not (folder / "run" / "stack.json").exists()


def test_a_second_one_in_the_same_folder_is_refused(
    folder: Path, settings: dict[str, str], stack: OwnedStack
) -> None:
    before = processes_of(folder / "run")
    with pytest.raises(StackError) as raised:
        OwnedStack(folder / "run", settings).start()
    assert raised.value.status == 1
    assert str(raised.value) == (
        f"correio serve: RUN={folder}/run: a stack runs there already, on 127.0.0.1 port {settings['PORT']}; stop it "
        "first, or have one beside it: --run run2 --mailboxes mailboxes2 --port 2525"
    )
    assert processes_of(folder / "run") == before


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"USERS": "/nowhere/users.txt"}, 78, "USERS=/nowhere/users.txt: there is no such file"),
        ({"PORT": "x"}, 78, "correio serve: PORT=x: "),
        ({"PROFILE": "lax"}, 78, "session_worker: PROFILE=lax: "),
        ({"PORTT": "2525"}, 78, "correio serve: PORTT: there is no such setting; did you mean PORT?"),
    ],
)
def test_what_keeps_it_from_starting_is_told_and_nothing_is_left(
    folder: Path, settings: dict[str, str], changed: dict[str, str], status: int, said: str
) -> None:
    stack = OwnedStack(folder / "run", settings | changed, changed)
    with pytest.raises(StackError) as raised:
        stack.start()
    assert raised.value.status == status
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert stack.ended()
    assert processes_of(folder / "run") == []


def test_libraries_that_are_missing_are_named_with_what_installs_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owned_stack, "find_spec", lambda name: None if name == "zmq" else object())
    with pytest.raises(StackError, match=r"needs zmq: in correio's checkout, pip install '\.\[stack\]'"):
        OwnedStack(folder / "run", {}).start()


def test_services_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(owned_stack, "__file__", str(tmp_path / "x" / "stack" / "owned_stack.py"))
    with pytest.raises(StackError, match="install correio again"):
        owned_stack.services_folder()


def test_the_settings_that_it_takes_are_told() -> None:
    assert owned_stack.table()["PORT"] == {"default": "12000", "what": "the TCP port where clients connect"}
