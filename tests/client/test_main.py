"""The program as a whole: its help, its version, what it says when there is no server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from client import VERSION
from client.__main__ import COMMANDS, main
from tests.conditions import wait_until

ROOT = Path(__file__).parent.parent.parent


def test_the_program_has_the_version_of_the_project() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    assert CliRunner().invoke(main, ["--version"]).output == f"correio, version {VERSION}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([each.name, "--help"] for each in COMMANDS)])
def test_every_help_has_examples_and_exit_statuses(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert "  $ correio" in result.output
    assert "Exit status" in result.output


@pytest.mark.parametrize(
    ("arguments", "locale", "said"),
    [
        ([], "C.UTF-8", "Error: Nobody listens on {where}. Start a stack with: make up, or correio serve\n"),
        ([], "pt_BR.UTF-8", "Erro: Ninguém escuta em {where}. Inicie um servidor com: make up, ou correio serve\n"),
        (
            ["--lang", "pt"],
            "C.UTF-8",
            "Erro: Ninguém escuta em {where}. Inicie um servidor com: make up, ou correio serve\n",
        ),
    ],
)
def test_a_session_with_nobody_says_what_to_do(
    arguments: list[str], locale: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "client", "--port", str(port), *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"LC_ALL": locale, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        input="",
        timeout=30,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == said.format(where=f"127.0.0.1:{port}")


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["no-such-command"]).exit_code == 2


def test_the_client_imports_nothing_of_the_services_nor_beyond_its_dependencies() -> None:
    script = (
        "import sys, client.__main__\n"
        "roots = {name.partition('.')[0] for name in sys.modules if not name.startswith('_')}\n"
        "print(*sorted(roots - sys.stdlib_module_names))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    beyond = set(done.stdout.split())
    assert {"client", "click", "prompt_toolkit"} <= beyond
    services = {"mail", "wire", "runtime", "gateway", "session_worker", "mailbox_store", "deploy"}
    assert not beyond & (services | {"zmq", "msgpack", "msgspec", "uvloop"})


def test_a_command_that_ctrl_c_ends_has_the_shell_s_status_for_it(tmp_path: Path) -> None:
    (tmp_path / "ana@example.org.txt").touch()
    command = [sys.executable, "-m", "client", "wait", "--to", "ana@example.org", "--mailboxes", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        # It sleeps in the kernel once it has everything that it needs.
        wait_until(lambda: b"inotify" in _sleeps_in(waiting.pid), "it watches the mailbox")
        waiting.send_signal(signal.SIGINT)
        said = waiting.communicate(timeout=20)
    assert (waiting.returncode, said) == (130, (b"", b""))


def _sleeps_in(pid: int) -> bytes:
    links = b""
    for link in (Path("/proc") / str(pid) / "fd").iterdir():
        # It may have closed one meanwhile.
        with suppress(FileNotFoundError):
            links += os.fsencode(link.readlink())
    return links
