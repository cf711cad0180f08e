"""supervisord, asked while it keeps one small program, and on a full disk: /dev/full takes nothing, as such a disk
(full(4)). Processes are found by their mark and ended, those that ignore SIGTERM too.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import supervisord
from deploy.supervisord import Forgiving, NotAllowed, Supervisor, Unreachable
from tests.conditions import wait_until

CONFIGURATION = """
[unix_http_server]
file = {folder}/s
[supervisord]
nodaemon = true
silent = true
pidfile = {folder}/pid
logfile = {folder}/log
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:sleeper]
command = sleep 600
startsecs = 0
"""


def test_programs_are_told_and_a_shutdown_ends_them(folder: Path) -> None:
    (folder / "conf").write_text(CONFIGURATION.format(folder=folder))
    supervisor = Supervisor(folder / "s")
    with pytest.raises(Unreachable):
        supervisor.pid()
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(folder / "conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:

        def running() -> bool:
            try:
                return [each.state for each in supervisor.programs()] == ["RUNNING"]
            except Unreachable:
                return False

        wait_until(running, "the program runs")
        assert supervisor.pid() == process.pid
        (program,) = supervisor.programs()
        assert program.name == "sleeper"
        os.kill(program.pid, 0)
        supervisor.shut_down()
        assert process.wait(30) == 0
    with pytest.raises(Unreachable):
        supervisor.programs()


def test_a_socket_that_is_somebody_else_s_is_told_from_one_where_nobody_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unreachable) as caught:
        Supervisor(folder / "s").pid()
    assert not isinstance(caught.value, NotAllowed)
    monkeypatch.setattr(socket, "socket", _Forbidden)
    with pytest.raises(NotAllowed):
        Supervisor(folder / "s").pid()


class _Forbidden(socket.socket):
    """What the system gives to those whom the folder of the socket does not let in; root it lets in everywhere."""

    def connect(self, _: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")


# The program says more than a pipe holds, so it gets to its end only if somebody reads what it says.
ON_A_FULL_DISK = """
[unix_http_server]
file = {folder}/s
[supervisord]
nodaemon = true
silent = true
pidfile = {folder}/pid
logfile = /dev/full
logfile_maxbytes = 0
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:talker]
command = sh -c 'yes a line of the log | head -c 200000; : > {folder}/done; exec sleep 600'
stdout_logfile = /dev/full
stdout_logfile_maxbytes = 0
redirect_stderr = true
"""


def test_it_goes_on_and_reads_what_services_say_though_no_log_can_be_written(folder: Path) -> None:
    (folder / "conf").write_text(ON_A_FULL_DISK.format(folder=folder))
    command = [sys.executable, "-m", "deploy.supervisord", "-c", str(folder / "conf")]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(command, stderr=full) as process:
        try:
            wait_until((folder / "done").exists, "the program has said all")
            supervisor = Supervisor(folder / "s")
            assert supervisor.pid() == process.pid
            supervisor.shut_down()
            # Its last words have no room either, which makes its status 1.
            process.wait(30)
        finally:
            process.kill()


def test_what_can_be_written_is(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("wb") as file:
        print("não", file=Forgiving(file.fileno()))
    assert (tmp_path / "errors").read_text("utf-8") == "não\n"


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
WILLING = "import signal; print(flush=True); signal.pause()"


def start(program: str, run: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={supervisord.MARK: str(run)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_only_the_processes_of_one_run_folder_are_found_and_ended(tmp_path: Path) -> None:
    with (
        start(WILLING, tmp_path / "a") as willing,
        start(STUBBORN, tmp_path / "a") as stubborn,
        start(WILLING, tmp_path / "ab") as other,
    ):
        assert sorted(supervisord.processes_of(tmp_path / "a")) == sorted([willing.pid, stubborn.pid])
        assert supervisord.end_processes(tmp_path / "a", grace=0.2) == []
        assert willing.wait(10) == -15
        assert stubborn.wait(10) == -9
        assert other.poll() is None
        assert supervisord.end_processes(tmp_path / "ab", grace=10) == []
