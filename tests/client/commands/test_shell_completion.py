from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.__main__ import COMMANDS, main
from client.commands.shell_completion import SHELLS
from tests.client.boxes import put
from tests.stack import ROOT


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_its_script(shell: str) -> None:
    result = CliRunner().invoke(main, ["shell-completion", shell])
    assert result.exit_code == 0
    assert f"_CORREIO_COMPLETE={shell}_complete" in result.output


def completed(*words: str, cwd: Path, mailboxes: str) -> list[str]:
    """What the script of bash would be told for the last word."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "_CORREIO_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "MAILBOXES": mailboxes,
    }
    command = [sys.executable, "-c", "from client.__main__ import main; main(prog_name='correio')"]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_and_addresses_are_completed(tmp_path: Path) -> None:
    put(tmp_path, name="ana@example.org")
    put(tmp_path, name="bo@example.org")
    assert set(completed("correio", "s", cwd=tmp_path, mailboxes=".")) == {
        each.name for each in COMMANDS if each.name and each.name.startswith("s")
    }
    assert completed("correio", "read", "a", cwd=tmp_path, mailboxes=".") == ["ana@example.org"]
    assert completed("correio", "wait", "--to", "", cwd=tmp_path, mailboxes=".") == [
        "ana@example.org",
        "bo@example.org",
    ]
    assert completed("correio", "list", "a", cwd=tmp_path, mailboxes="no-such-folder") == []
