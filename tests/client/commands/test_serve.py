"""`correio serve`: a server in the foreground, its conversations on the screen, and nothing left of it afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.__main__ import main
from client.stack import owned_stack
from tests.client.pseudo_terminal import Screen
from tests.conditions import wait_until
from tests.deploy.deploying import environment, processes_of
from tests.stack import ROOT, Connection, free_port

USERS = "# os usuários\nana@gmail.com\nbruno@gmail.com\n"
SERVE = [sys.executable, "-m", "client", "serve", "users.txt"]


@pytest.fixture
def here(folder: Path) -> Iterator[Path]:
    """An empty folder with a users file; nothing that was started in it may be left at the end."""
    (folder / "users.txt").write_text(USERS)
    yield folder
    wait_until(lambda: processes_of(folder / "run") == [], "nothing is left running")


def serve(here: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    """One whose output is a pipe; the port is free, one worker is enough."""
    port = variables.pop("PORT", str(free_port()))
    return subprocess.Popen(
        [*SERVE, *options],
        cwd=here,
        env=environment(PORT=port, WORKERS="1", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def refused(here: Path, *options: str, **variables: str) -> tuple[int, str]:
    """What one that does not start says, and its exit status."""
    with serve(here, *options, **variables) as server:
        assert server.stdout is not None
        said = server.stdout.read()
    return server.returncode, said


def read_until(server: subprocess.Popen[str], text: str) -> None:
    assert server.stdout is not None
    for line in server.stdout:
        if text in line:
            return
    raise AssertionError(f"it has ended, and never said {text!r}")


@pytest.mark.stack
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(here: Path, number: signal.Signals) -> None:
    port = free_port()
    with serve(here, PORT=str(port)) as server:
        assert server.stdout is not None
        read_until(server, "Waiting for a connection.")
        with Connection(port) as session:
            session.begin("ana@gmail.com")
            read_until(server, "DATA")
            server.send_signal(number)
            read_until(server, "Stopping")
            # Who is in the middle of a mail may end it.
            assert session.command("the last words\r\n.").startswith("250 2.0.0")
        shown = server.stdout.read()
    # And it is on the screen, where nobody is waited for any more.
    assert "S: 250 2.0.0 Message delivered" in shown
    assert "Waiting for a connection." not in shown
    assert shown.endswith("Stopped; nothing is left running.\n")
    assert server.returncode == 0
    assert processes_of(here / "run") == []
    assert "the last words" in (here / "mailboxes" / "ana@gmail.com.txt").read_text()


@pytest.mark.stack
def test_ctrl_c_once_more_waits_for_nobody(here: Path) -> None:
    port = free_port()
    with serve(here, PORT=str(port), SHUTDOWN_SECONDS="600") as server:
        read_until(server, "Waiting for a connection.")
        with Connection(port) as session:
            session.begin("ana@gmail.com")
            server.send_signal(signal.SIGINT)
            read_until(server, "Stopping:")
            # The same signal twice may be one that was passed on; this is another one.
            server.send_signal(signal.SIGTERM)
            read_until(server, "Stopping at once.")
            server.send_signal(signal.SIGHUP)  # a third changes nothing
            read_until(server, "Stopped; nothing is left running.")
    assert server.returncode == 0
    assert processes_of(here / "run") == []


@pytest.mark.stack
def test_a_terminal_that_is_closed_ends_it(here: Path, tmp_path: Path) -> None:
    command = [*SERVE, "--port", str(free_port())]
    server = Screen(tmp_path, command, here, PYTHONPATH=str(ROOT), WORKERS="1")
    try:
        server.wait_for("Waiting for a connection.")
        server.hang_up()
        assert server.process.wait(30) == 0
    finally:
        server.close()
    assert processes_of(here / "run") == []
    assert not (here / "run" / "stack.json").exists()


@pytest.mark.stack
def test_killed_it_leaves_nothing_running_and_starts_again(here: Path) -> None:
    port = free_port()
    with serve(here, PORT=str(port)) as server:
        read_until(server, "Waiting for a connection.")
        with Connection(port) as session:
            session.begin("ana@gmail.com")
            server.kill()
            assert session.command("of its last moment\r\n.").startswith("250 2.0.0")
    wait_until(lambda: processes_of(here / "run") == [], "nothing is left running")
    with serve(here, PORT=str(port)) as server:
        read_until(server, "Waiting for a connection.")
        server.terminate()
        read_until(server, "Stopped")
    assert (here / "mailboxes" / "ana@gmail.com.txt").read_text().count("of its last moment") == 1


@pytest.mark.stack
def test_what_the_services_warn_of_is_on_the_screen(here: Path) -> None:
    with serve(here) as server:
        read_until(server, "Waiting for a connection.")
        (here / "users.txt").write_text(USERS + "no address\n")
        read_until(server, "users.txt:4: ")
        server.terminate()
        read_until(server, "Stopped")


@pytest.mark.stack
def test_it_says_when_it_is_ended_from_elsewhere(here: Path) -> None:
    with serve(here) as server:
        read_until(server, "Waiting for a connection.")
        os.kill(int((here / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
        read_until(server, "The server has been ended from elsewhere.")
        read_until(server, "Stopped; nothing is left running.")
    assert server.returncode == 1
    assert not (here / "run" / "stack.json").exists()


@pytest.mark.stack
def test_an_output_that_is_closed_ends_it(here: Path) -> None:
    port = free_port()
    with serve(here, PORT=str(port)) as server:
        assert server.stdout is not None
        read_until(server, "Waiting for a connection.")
        server.stdout.close()
        with Connection(port) as session:
            assert session.reply().startswith("220 ")
            assert server.wait(30) == 4


@pytest.mark.stack
def test_a_full_disk_below_its_output_ends_it_and_is_told(here: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            SERVE,
            cwd=here,
            env=environment(PORT=str(free_port()), WORKERS="1"),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert done.returncode == 4
    assert done.stderr == b"Error: Cannot write to standard output: No space left on device\n"
    assert processes_of(here / "run") == []


@pytest.mark.stack
def test_interrupted_before_it_takes_mail_it_leaves_nothing(here: Path) -> None:
    with serve(here) as server:
        wait_until(lambda: processes_of(here / "run"), "something has been started")
        server.send_signal(signal.SIGINT)
        read_until(server, "Interrupted; nothing was started.")
    assert server.returncode == 1
    assert processes_of(here / "run") == []


@pytest.mark.stack
def test_a_second_one_of_the_same_folder_is_refused(here: Path) -> None:
    with serve(here) as server:
        read_until(server, "Waiting for a connection.")
        status, said = refused(here)
        assert status == 1
        assert said.startswith(f"correio serve: RUN={here}/run: a stack runs there already, on 127.0.0.1 port ")
        assert said.count("\n") == 1
        server.terminate()
        read_until(server, "Stopped")


def test_a_busy_port_is_told_with_another_as_it_is_typed(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = f"correio serve: PORT={port}: in use on 127.0.0.1; try: --port 2525\n"
        assert refused(here, "--port", str(port)) == (1, told)


@pytest.mark.stack
def test_a_bad_users_file_is_told_with_its_line(here: Path) -> None:
    (here / "users.txt").write_text("ana@gmail.com\nbruno gmail.com\n")
    status, said = refused(here)
    assert (status, said.count("\n")) == (78, 1)
    assert f"{here}/users.txt:2: " in said


def test_a_users_file_that_is_not_there_is_told(here: Path) -> None:
    (here / "users.txt").unlink()
    told = f"correio serve: USERS={here}/users.txt: there is no such file; it must hold one address a line\n"
    assert refused(here) == (78, told)
    assert not (here / "mailboxes").exists()


def test_a_setting_with_a_wrong_value_is_told(here: Path) -> None:
    status, said = refused(here, "--workers", "0")
    assert (status, said) == (78, "correio serve: WORKERS=0: Input should be greater than or equal to 1\n")


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments), prog_name="correio")
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--prot", "1"], "'--prot'"),
        (["--port", "2525", "serve"], "serve --bind --port"),
        (["serve", "a.txt", "b.txt"], "unexpected extra argument (b.txt)"),
        (["serve", "--base", "x"], "'--base'"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str) -> None:
    status, output = invoke(*arguments)
    assert status == 2
    assert said in output


def test_its_options_are_the_settings_with_their_defaults() -> None:
    status, output = invoke("serve", "--help")
    assert status == 0
    text = " ".join(output.split())
    for name, setting in owned_stack.table().items():
        if name not in ("USERS", "MODE", "BASE"):
            assert f"--{name.lower().replace('_', '-')} " in text, name
            assert not setting["default"] or f"[env {name}, else " in text, name


def test_help_needs_no_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(owned_stack, "__file__", str(tmp_path / "x" / "stack" / "owned_stack.py"))
    assert invoke("serve", "--help")[0] == 0
    status, output = invoke("serve", "--run", str(tmp_path / "run"))
    assert status == 1
    assert "install correio again" in output


@pytest.mark.skipif(shutil.which("nohup") is None, reason="no nohup here")
@pytest.mark.stack
def test_a_signal_that_is_to_be_ignored_is(here: Path) -> None:
    with subprocess.Popen(
        ["nohup", *SERVE],
        cwd=here,
        env=environment(PORT=str(free_port()), WORKERS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        read_until(server, "Waiting for a connection.")
        server.send_signal(signal.SIGHUP)
        assert processes_of(here / "run") != []
        server.terminate()
        read_until(server, "Stopped")
    assert server.returncode == 0
