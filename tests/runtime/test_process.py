"""What a service does with its process: each in a process of its own, for that is what it changes."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.process import KEPT, STOP, keep_freed, take_turns
from tests.conditions import wait_until
from tests.stack import ROOT, Stack

# Messages that come and go, as some sessions at a time send them; gives the page faults of a hundred.
_MESSAGES = """
import resource
from runtime.process import keep_freed
if {kept}:
    assert keep_freed()

def messages(count):
    for number in range(count):
        held = [bytes(size) for size in (100_000, 300_000, 200_000, 500_000)]

messages(5)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
messages(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(*, kept: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _MESSAGES.format(kept=kept)], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


def test_messages_that_come_and_go_ask_the_kernel_for_no_memory() -> None:
    assert _faults(kept=True) < 100, "less than a page for each hundred that a message has"
    assert _faults(kept=False) > 1000, "and it would without"


def test_the_limits_are_those_that_glibc_takes() -> None:
    assert keep_freed()
    # mallopt(3): DEFAULT_MMAP_THRESHOLD_MAX on 64 bits.
    assert KEPT <= 32 * 1024 * 1024


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert keep_freed() is False


def _threads(pid: int) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]


def test_every_thread_of_every_service_takes_turns(folder: Path) -> None:
    with Stack(folder) as stack:
        for name, process in stack.processes.items():
            # Of two workers one may still be starting.
            wait_until(lambda pid=process.pid: len(_threads(pid)) > 1, f"{name} has ZeroMQ's threads")
            policies = {thread: os.sched_getscheduler(thread) for thread in _threads(process.pid)}
            assert set(policies.values()) == {os.SCHED_BATCH}, (name, policies)


@pytest.mark.parametrize("refusal", [PermissionError("a filter of system calls"), AttributeError("not on Linux")])
def test_where_it_is_refused_the_service_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(os, "sched_setscheduler", refuse)

    assert take_turns() is False


_CYCLES = """
import gc, weakref
from runtime.process import settled

class Knot:
    def __init__(self):
        self.itself = self

before = gc.get_threshold()
settled()
assert gc.get_threshold()[0] > before[0], gc.get_threshold()
assert gc.get_freeze_count() > 1000, gc.get_freeze_count()
# To ask the reference would hold the knot in the very moment in which newer interpreters collect.
gone = []
lost = weakref.ref(Knot(), gone.append)
kept = []
while not gone and len(kept) < 20_000:
    kept.append([])
assert gone, "cycles are never collected"
print("fine")
"""


def test_what_there_is_stays_and_cycles_are_collected_later() -> None:
    # A process of its own: the collector is the whole process's.
    done = subprocess.run(
        [sys.executable, "-c", _CYCLES], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


# What ends last: it is run while the interpreter is taken down, after its signal handlers.
_ENDING = """
import os, signal, sys
from runtime.process import heed_no_more

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
    done = subprocess.run([sys.executable, "-c", _ENDING, str(int(number)), how], cwd=ROOT, timeout=30, check=False)
    assert done.returncode == (0 if how == "heeds no more" else -number)


_STUCK = "import time; from runtime.process import end_if_stuck; end_if_stuck(0.5)"


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{_STUCK}\n{program}"], cwd=ROOT, capture_output=True, text=True, timeout=20
    )


@pytest.mark.parametrize("hang", ["while True: pass", "time.sleep(60)", "sum(iter(int, 1))"])
def test_a_process_that_is_stuck_ends_itself_and_says_where(hang: str) -> None:
    done = run(f"def stuck():\n    {hang}\nstuck()")
    assert done.returncode == 1
    assert "in stuck" in done.stderr


def test_a_process_whose_loop_turns_lives() -> None:
    done = run("for _ in range(10):\n    time.sleep(0.1)\n    end_if_stuck(0.5)\nprint('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_a_process_that_has_taken_it_back_lives() -> None:
    done = run("end_if_stuck(0)\ntime.sleep(1)\nprint('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")
