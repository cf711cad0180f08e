"""Processes are found by their mark and ended, those that ignore SIGTERM too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy import leftovers

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
WILLING = "import signal; print(flush=True); signal.pause()"


def start(program: str, run: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={leftovers.MARK: str(run)}, stdout=subprocess.PIPE
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
        assert sorted(leftovers.find(tmp_path / "a")) == sorted([willing.pid, stubborn.pid])
        assert leftovers.stop(tmp_path / "a", grace=0.2) == []
        assert willing.wait(10) == -15
        assert stubborn.wait(10) == -9
        assert other.poll() is None
        assert leftovers.stop(tmp_path / "ab", grace=10) == []
