"""A process that hangs ends itself; one that does not goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BEGIN = "import time; from runtime.watchdog import Watchdog; watchdog = Watchdog(0.5); watchdog.feed()"


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{_BEGIN}\n{program}"], cwd=ROOT, capture_output=True, text=True, timeout=20
    )


@pytest.mark.parametrize("hang", ["while True: pass", "time.sleep(60)", "sum(iter(int, 1))"])
def test_a_process_that_hangs_ends_itself_and_says_where(hang: str) -> None:
    done = run(f"def hung():\n    {hang}\nhung()")
    assert done.returncode == 1
    assert "in hung" in done.stderr


def test_a_process_that_feeds_it_lives(tmp_path: Path) -> None:
    done = run("for _ in range(10):\n    time.sleep(0.1)\n    watchdog.feed()\nprint('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_a_process_that_has_left_it_lives() -> None:
    done = run("watchdog.leave()\ntime.sleep(1)\nprint('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")
