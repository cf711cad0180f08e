"""What processes cost, read from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench import procfs
from tests.conditions import wait_until

_BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_a_family_is_a_process_and_what_it_started() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert {os.getpid(), child.pid} <= procfs.family([os.getpid()])
        assert procfs.family([child.pid]) == {child.pid}
    finally:
        child.kill()
        child.wait()
    assert child.pid not in procfs.family([os.getpid()])


def test_cpu_time_includes_that_of_children_that_have_ended() -> None:
    before = procfs.cpu_seconds([os.getpid()])
    subprocess.run([sys.executable, "-c", _BURN], check=True)
    # In hundredths, for 8.2 - 7.91 is less than 0.29.
    assert round(procfs.cpu_seconds([os.getpid()]) - before, 2) >= 0.29


def test_exact_cpu_time_is_of_the_process_alone_and_of_one_that_is_gone_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", _BURN + "input()"], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: procfs.exact_cpu_seconds([child.pid]) >= 0.3, "the child has burnt its time")
        assert procfs.exact_cpu_seconds([os.getpid(), child.pid]) > procfs.exact_cpu_seconds([child.pid])
    finally:
        child.communicate(b"\n")
    assert procfs.exact_cpu_seconds([child.pid]) == 0


def test_a_peak_is_of_the_time_since_it_was_forgotten() -> None:
    script = "import sys\nx = bytearray(80 << 20); del x\nprint(1, flush=True)\nsys.stdin.read()\n"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert procfs.peak_kib([child.pid]) > 80 * 1024
        procfs.forget_peak([child.pid])
        wait_until(lambda: procfs.peak_kib([child.pid]) < 60 * 1024, "the peak to be forgotten", 5)
    finally:
        child.communicate()


def test_a_process_that_is_gone_costs_nothing() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert procfs.cpu_seconds([child.pid]) == 0
    assert procfs.peak_kib([child.pid]) == 0


def test_the_file_system_of_a_folder_is_known() -> None:
    assert procfs.file_system(Path("/proc")) == "proc"
