"""A second signal does not make a crash of an ordered stop."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from runtime.signals import STOP
from tests.stack import ROOT

# What ends last: it is run while the interpreter is taken down, after its signal handlers.
_PROGRAM = """
import os, signal, sys
from runtime.signals import heed_no_more

for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: None)

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=int(sys.argv[1])):
        kill(pid, number)

if sys.argv[2] == "heeds no more":
    heed_no_more()
sys.late = Late()
"""


@pytest.mark.parametrize("number", STOP)
@pytest.mark.parametrize("how", ["heeds no more", "heeds"])
def test_a_process_that_heeds_no_more_ends_as_it_wanted_to(number: signal.Signals, how: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, str(int(number)), how], cwd=ROOT, timeout=30, check=False)
    assert done.returncode == (0 if how == "heeds no more" else -number)
