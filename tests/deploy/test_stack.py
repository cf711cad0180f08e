"""The whole life of a stack of processes, as `make up`, `status` and `down` run it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import smtplib
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.stack.feed import FeedReader
from tests.conditions import wait_until
from tests.deploy.deploying import deploy, environment, processes_of
from tests.scraping import families, page
from tests.stack import Connection, free_port, free_ports

pytestmark = pytest.mark.stack
# The tool as another user, who may not be able to read the checkout: it is imported before.
AS_NOBODY = """
import os, sys
import deploy.__main__, encodings.idna, smtplib, xmlrpc.client
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(deploy.__main__.main())
"""
USERS = "ana@example.com\nbruno@example.com\n"


@pytest.fixture
def settings(folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a stack on a free port; whatever a test leaves running is stopped, and that it is gone is seen."""
    (folder / "users.txt").write_text(USERS)
    settings = {"MODE": "processes", "PORT": str(free_port()), "WORKERS": "1"}
    yield settings
    for run in folder.glob("run*"):
        deploy("down", folder, RUN=str(run))
        assert processes_of(run) == []


@dataclass(frozen=True)
class Running:
    """A stack that is up: the folder of its files, and its port."""

    folder: Path
    port: str
    settings: dict[str, str]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """For tests that leave it as they found it."""
    settings = {"MODE": "processes", "PORT": str(free_port()), "WORKERS": "1"}
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text(USERS)
        done = deploy("up", folder, **settings)
        try:
            assert done.returncode == 0, done.stderr
            yield Running(folder, settings["PORT"], settings)
        finally:
            deploy("down", folder)
            assert processes_of(folder / "run") == []


def send(port: str, recipient: str = "ana@example.com") -> None:
    with smtplib.SMTP("127.0.0.1", int(port), timeout=30) as client:
        client.sendmail("carla@example.net", [recipient], b"Subject: hello\r\n\r\nhello\r\n")


def test_up_returns_when_mail_is_taken_and_down_leaves_nothing(folder: Path, settings: dict[str, str]) -> None:
    done = deploy("up", folder, **settings)
    assert done.returncode == 0, done.stderr
    how, taken = done.stdout.splitlines()[:2]
    assert how == "starting the stack with MODE=processes: as asked for"
    assert taken.startswith(f"Correio takes mail on 127.0.0.1 port {settings['PORT']}.")
    send(settings["PORT"])
    mailbox = folder / "mailboxes" / "ana@example.com.txt"
    assert mailbox.read_text().endswith("Subject: hello\n\nhello\n\n")
    assert stat.S_IMODE(mailbox.stat().st_mode) == 0o600
    assert mailbox.stat().st_uid == os.geteuid()
    # supervisord, gateway, store, worker
    assert len(processes_of(folder / "run")) == 4
    done = deploy("down", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")
    assert processes_of(folder / "run") == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(settings["PORT"])))


def test_each_service_writes_its_log_itself_with_whatever_its_interpreter_says(running: Running) -> None:
    send(running.port)
    logs = running.folder / "run" / "logs"
    names = {"gateway.log", "mailbox_store.log", "session_worker_1.log"}
    assert {path.name for path in logs.iterdir()} == names
    written = {}
    for pid in processes_of(running.folder / "run"):
        output, errors = (Path(f"/proc/{pid}/fd/{number}").readlink() for number in (1, 2))
        assert output == errors
        written[output.name] = output
    # supervisord's own is where it tells what it could not log.
    assert set(written) == names | {"supervisord.err"}
    assert all(written[name] == logs / name for name in names)
    assert stat.S_IMODE(logs.stat().st_mode) == 0o700
    assert " S: 250 2.0.0 Message delivered" in (logs / "gateway.log").read_text()
    assert " delivered to 1 mailbox\n" in (logs / "session_worker_1.log").read_text()
    assert " stored for 1 mailbox, " in (logs / "mailbox_store.log").read_text()


def test_without_an_engine_it_says_that_it_chose_processes_and_why(folder: Path, settings: dict[str, str]) -> None:
    bare = folder / "bin"
    bare.mkdir()
    done = deploy("up", folder, **settings | {"MODE": "auto", "PATH": str(bare)})
    assert done.returncode == 0, done.stderr
    why = "starting the stack with MODE=processes: the docker command is not installed"
    assert done.stdout.splitlines()[0] == why


def test_up_twice_is_harmless_and_other_settings_are_told_apart(running: Running) -> None:
    before = processes_of(running.folder / "run")
    again = deploy("up", running.folder, **running.settings)
    assert again.returncode == 0
    assert again.stdout.startswith(f"already running on 127.0.0.1 port {running.port} with MODE=processes;")
    other = deploy("up", running.folder, **running.settings | {"WORKERS": "3", "PROFILE": "strict"})
    assert other.returncode == 1
    assert other.stderr == (
        "make up: runs with other settings: PROFILE is unset, not strict; WORKERS is 1, not 3; first: make down; "
        "or, for a stack beside it, another RUN and MAILBOXES\n"
    )
    assert sorted(processes_of(running.folder / "run")) == sorted(before)


def test_each_process_tells_its_numbers_where_the_list_of_targets_says(
    folder: Path, settings: dict[str, str]
) -> None:
    metrics, listed = free_ports(5), folder / "run" / "prometheus-targets.json"
    done = deploy("up", folder, **settings | {"WORKERS": "2", "METRICS_PORT": str(metrics)})
    assert done.returncode == 0, done.stderr
    assert f"cat {listed}" in done.stdout

    def ready() -> dict[str, str]:
        """The service that answers at each target, by its instance: its numbers bear its name."""
        groups = json.loads(listed.read_text())
        return {
            group["labels"]["instance"]: next(
                service
                for service in ("gateway", "store", "worker")
                if any(f"correio_{service}_" in family.name for family in families(_port(group)))
            )
            for group in groups
            if page(_port(group), "/readyz")[0] == 200
        }

    all_ready = {
        "gateway": "gateway",
        "mailbox_store": "store",
        "session_worker_1": "worker",
        "session_worker_2": "worker",
    }
    wait_until(lambda: ready() == all_ready, "each process is ready where it is listed")
    before = listed.read_text()
    assert deploy("restart-workers", folder).returncode == 0
    assert listed.read_text() == before
    wait_until(lambda: ready() == all_ready, "each process is ready after the restart")
    assert deploy("down", folder).returncode == 0
    assert not listed.exists()


def test_a_restart_is_with_the_settings_of_the_start_whatever_the_shell_has_now(
    folder: Path, settings: dict[str, str]
) -> None:
    metrics, listed = free_ports(3), folder / "run" / "prometheus-targets.json"
    assert deploy("up", folder, **settings | {"METRICS_PORT": str(metrics)}).returncode == 0
    before = listed.read_text()
    done = deploy("restart-workers", folder, METRICS_PORT="9000", WORKERS="5", POSTMASTER="x", USERS="/none")
    assert done.returncode == 0, done.stderr
    assert listed.read_text() == before
    assert deploy("down", folder).returncode == 0
    assert deploy("up", folder, **settings).returncode == 0
    done = deploy("restart-workers", folder, METRICS_PORT="9000")
    assert done.returncode == 0, done.stderr
    assert not listed.exists()


def _port(group: dict[str, list[str]]) -> int:
    return int(group["targets"][0].rpartition(":")[2])


def test_a_busy_port_for_numbers_starts_nothing(folder: Path, settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = deploy("up", folder, **settings | {"METRICS_PORT": str(port)})
    assert done.returncode == 1
    assert done.stderr == f"make up: METRICS_PORT={port}: in use on 127.0.0.1; try: make up METRICS_PORT=9220\n"
    assert processes_of(folder / "run") == []


def test_down_and_status_of_nothing_say_so(folder: Path) -> None:
    assert deploy("down", folder).stdout == f"nothing runs: there is no folder RUN={folder}/run\n"
    assert deploy("status", folder).returncode == 3
    (folder / "run").mkdir()
    assert deploy("down", folder).stdout == f"nothing runs in RUN={folder}/run\n"
    assert deploy("logs", folder).stderr == f"make logs: not running (RUN={folder}/run)\n"


def test_what_dies_is_started_again(running: Running) -> None:
    for pid in processes_of(running.folder / "run"):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"deploy.supervisord" not in command:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: deploy("status", running.folder).returncode == 0, "the stack takes mail again")
    send(running.port)
    shown = deploy("status", running.folder).stdout
    assert [line.split()[0] for line in shown.splitlines()] == [
        "gateway",
        "mailbox_store",
        "session_worker_1",
        "takes",
    ]


def test_an_open_session_lives_on_while_every_worker_is_killed(running: Running) -> None:
    with Connection(int(running.port)) as session:
        session.begin("ana@example.com")
        for pid in processes_of(running.folder / "run"):
            if b"session_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        assert session.command("typed by hand\r\n.").startswith("250 2.0.0")
        assert session.command("QUIT").startswith("221")


def test_two_stacks_live_side_by_side(folder: Path, settings: dict[str, str]) -> None:
    other = settings | {"PORT": str(free_port()), "RUN": "run2", "MAILBOXES": "mailboxes2"}
    assert deploy("up", folder, **settings).returncode == 0
    assert deploy("up", folder, **other).returncode == 0
    send(other["PORT"])
    assert (folder / "mailboxes" / "ana@example.com.txt").read_bytes() == b""
    assert (folder / "mailboxes2" / "ana@example.com.txt").stat().st_size > 0
    assert deploy("down", folder, RUN="run2").returncode == 0
    assert processes_of(folder / "run2") == []
    send(settings["PORT"])


def test_a_busy_port_is_named_and_nothing_is_started(folder: Path, settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(settings["PORT"]))):
        done = deploy("up", folder, **settings)
    assert done.returncode == 1
    assert done.stderr == f"make up: PORT={settings['PORT']}: in use on 127.0.0.1; try: make up PORT=2525\n"
    assert processes_of(folder / "run") == []
    assert not (folder / "mailboxes").exists()
    assert deploy("up", folder, **settings).returncode == 0


def test_a_run_folder_with_a_long_path_serves_all_the_same(folder: Path, settings: dict[str, str]) -> None:
    deep = folder / ("a" * 100) / ("b" * 100)
    deep.mkdir(parents=True)
    done = deploy("up", folder, **settings | {"RUN": str(deep / "run")})
    try:
        assert done.returncode == 0, done.stderr
        send(settings["PORT"])
        assert f"make down RUN={deep}/run" in done.stdout
        with FeedReader(deep / "run") as feed:
            assert isinstance(feed.next(), dict)
        assert not (deep / "run" / "sockets").exists()
    finally:
        assert deploy("down", folder, RUN=str(deep / "run")).returncode == 0
    assert processes_of(deep / "run") == []


def test_names_with_blanks_quotes_and_percent_signs_are_names(folder: Path, settings: dict[str, str]) -> None:
    odd = folder / 'o\'dd 100% "é";#'
    odd.mkdir()
    (folder / "users.txt").rename(odd / "us ers;.txt")
    paths = {"USERS": str(odd / "us ers;.txt"), "MAILBOXES": str(odd / "mail boxes"), "RUN": str(odd / "run")}
    done = deploy("up", folder, **settings, **paths)
    try:
        assert done.returncode == 0, done.stderr
        send(settings["PORT"])
    finally:
        assert deploy("down", folder, RUN=str(odd / "run")).returncode == 0


def test_the_logs_are_shown_whole_as_they_are_or_as_they_grow(folder: Path, settings: dict[str, str]) -> None:
    assert deploy("up", folder, **settings).returncode == 0
    send(settings["PORT"])
    logs = folder / "run" / "logs"
    # As after a rotation: what is older is in another file.
    (logs / "gateway.log.1").write_text("2020-01-01T00:00:00.000 gateway[1] INFO the oldest line\n")
    os.utime(logs / "gateway.log.1", (0, 0))
    wait_until(lambda: "C: QUIT" in (logs / "gateway.log").read_text(), "the conversation is in the log")
    shown = deploy("logs", folder, TAIL="all", FOLLOW="no")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0].endswith("the oldest line")
    assert sum(len(path.read_text().splitlines()) for path in logs.iterdir()) <= len(lines)
    times = [line[:23] for line in lines if line.startswith("2")]
    assert times == sorted(times)
    few = deploy("logs", folder, TAIL="1", FOLLOW="no").stdout.splitlines()
    assert len(few) == len([path for path in logs.iterdir() if path.suffix == ".log"])
    command = [sys.executable, "-m", "deploy", "logs"]
    following = subprocess.Popen(
        command, cwd=folder, env=environment(TAIL="all"), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert following.stdout is not None
    try:
        seen = []
        while not (seen and "C: QUIT" in seen[-1]):
            seen.append(following.stdout.readline())
            assert seen[-1], seen
        assert any("waiting for connections" in line for line in seen)
    finally:
        following.kill()
        following.communicate()
    assert (
        deploy("logs", folder, TAIL="some").stderr
        == "make logs: TAIL=some: must be how many of the last lines, or all\n"
    )
    # When it has stopped they are still there.
    assert deploy("down", folder).returncode == 0
    stopped = deploy("logs", folder)
    assert stopped.returncode == 3
    assert stopped.stderr.endswith("; what it said is in RUN/logs: make logs FOLLOW=no TAIL=all\n")
    assert "= stopped" in deploy("logs", folder, FOLLOW="no", TAIL="all").stdout


def test_who_has_seen_enough_of_the_logs_ends_them_without_a_word(running: Running) -> None:
    (running.folder / "run" / "logs" / "gateway.log.1").write_text("2020-01-01T00:00:00.000 much\n" * 100_000)
    os.utime(running.folder / "run" / "logs" / "gateway.log.1", (0, 0))
    command = f"{shlex.quote(sys.executable)} -m deploy logs | head -n 1"
    given = environment(FOLLOW="no", TAIL="all")
    done = subprocess.run(
        ["sh", "-c", command], cwd=running.folder, env=given, capture_output=True, text=True, timeout=60
    )
    (running.folder / "run" / "logs" / "gateway.log.1").unlink()
    assert (done.stdout, done.stderr) == ("2020-01-01T00:00:00.000 much\n", "")


def test_a_stack_whose_supervisor_was_killed_is_replaced(folder: Path, settings: dict[str, str]) -> None:
    assert deploy("up", folder, **settings).returncode == 0
    orphans = set(processes_of(folder / "run"))
    os.kill(int((folder / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
    assert deploy("status", folder).returncode == 1
    assert deploy("up", folder, **settings).returncode == 0
    assert not orphans & set(processes_of(folder / "run"))
    send(settings["PORT"])
    os.kill(int((folder / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
    assert deploy("down", folder).returncode == 0
    assert processes_of(folder / "run") == []


def test_status_tells_of_what_outlives_its_supervisor_and_down_ends_it(
    folder: Path, settings: dict[str, str]
) -> None:
    assert deploy("up", folder, **settings).returncode == 0
    supervisord = int((folder / "run" / "supervisord.pid").read_text())
    orphans = sorted(set(processes_of(folder / "run")) - {supervisord})
    os.kill(supervisord, signal.SIGKILL)
    wait_until(lambda: supervisord not in processes_of(folder / "run"), "supervisord has ended")
    pids = f"supervisord does not answer, but processes of this stack are there: pids {', '.join(map(str, orphans))}"
    end = "what dies is not started again; make down ends them, make up starts anew"
    done = deploy("status", folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [pids, f"takes mail on 127.0.0.1 port {settings['PORT']}", end]
    # Without what RUN remembers they are told of and ended as well.
    (folder / "run" / "stack.json").unlink()
    assert deploy("status", folder).stdout.splitlines() == [pids, end]
    assert deploy("down", folder).stdout == "stopped\n"
    assert processes_of(folder / "run") == []
    assert deploy("status", folder).returncode == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as someone else")
def test_status_asked_by_someone_else_says_whose_stack_it_is(running: Running) -> None:
    running.folder.chmod(0o755)

    def asked() -> tuple[int, str, str]:
        command = [sys.executable, "-c", AS_NOBODY, "status"]
        done = subprocess.run(
            command, cwd=running.folder, env=environment(), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    assert asked() == (1, "", f"make status: RUN={running.folder}/run: you may not look, the stack is root's\n")
    (running.folder / "run").chmod(0o700)
    assert asked() == (1, "", f"make status: RUN={running.folder}/run: you may not look, it is root's\n")


def test_status_of_a_stack_that_is_gone_tells_who_has_its_port(folder: Path, settings: dict[str, str]) -> None:
    assert deploy("up", folder, **settings).returncode == 0
    before = (folder / "run" / "stack.json").read_bytes()
    assert deploy("down", folder).returncode == 0
    other = {"RUN": "run2", "MAILBOXES": "mailboxes2"}
    assert deploy("up", folder, **settings | other).returncode == 0
    (folder / "run" / "stack.json").write_bytes(before)
    done = deploy("status", folder)
    assert done.returncode == 3
    assert done.stdout == (
        f"not running (RUN={folder}/run)\nbut someone takes mail on 127.0.0.1 port {settings['PORT']}\n"
    )


def test_an_interrupted_start_leaves_nothing(folder: Path, settings: dict[str, str]) -> None:
    tool = subprocess.Popen(
        [sys.executable, "-m", "deploy", "up"],
        cwd=folder,
        env=environment(**settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: processes_of(folder / "run"), "something has been started")
    tool.send_signal(signal.SIGINT)
    _, said = tool.communicate(timeout=60)
    assert (tool.returncode, said) == (130, "make up: interrupted\n")
    assert processes_of(folder / "run") == []
    assert deploy("status", folder).returncode == 3


def test_settings_that_only_services_know_reach_them(folder: Path, settings: dict[str, str]) -> None:
    passed = {"VRFY": "off", "DOMAIN": "mx.example.org", "POSTMASTER": "bruno@example.com"}
    assert deploy("up", folder, **settings, **passed).returncode == 0
    with Connection(int(settings["PORT"])) as session:
        assert session.reply().startswith("220 mx.example.org ")
        assert session.command("HELO example.net").startswith("250 ")
        assert session.command("VRFY ana").startswith("252 ")
    send(settings["PORT"], "postmaster@mx.example.org")
    assert (folder / "mailboxes" / "bruno@example.com.txt").stat().st_size > 0


def test_one_run_folder_serves_one_command_at_a_time(folder: Path, settings: dict[str, str]) -> None:
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "deploy", "up"],
            cwd=folder,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ends = [(*command.communicate(timeout=60), command.returncode) for command in commands]
    assert [status for _, _, status in ends].count(0) >= 1
    for _, said, status in ends:
        assert status == 0 or said == f"make up: RUN={folder}/run: another make up or make down is at work there\n"
    assert len(processes_of(folder / "run")) == 4
