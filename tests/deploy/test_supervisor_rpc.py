"""Asking a real supervisord that keeps one small program."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.supervisor_rpc import NotAllowed, Supervisor, Unreachable
from tests.stack import wait_until

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
