"""supervisord on a full disk: /dev/full takes nothing, as such a disk (full(4))."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy.supervisor_rpc import Supervisor
from deploy.supervisord import Forgiving
from tests.stack import wait_until

# The program says more than a pipe holds, so it gets to its end only if somebody reads what it says.
CONFIGURATION = """
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
    (folder / "conf").write_text(CONFIGURATION.format(folder=folder))
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
