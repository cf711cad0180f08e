"""What a process has cost, read from /proc (proc(5)): CPU time and peak memory, of it and of all its descendants.

Fails: a process that has ended counts as nothing; what it used is then in its parent's account, if that one waited.
Limits: Linux. CPU time in /proc comes in ticks of 10 ms, so a measurement lasts a second or more to mean something.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_LIBC = ctypes.CDLL(None)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; the second, the name, may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def family(pids: Iterable[int]) -> set[int]:
    """These processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    queue = list(pids)
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, their descendants, and the children they have waited for."""
    ticks = 0
    for pid in family(pids):
        # utime, stime, cutime, cstime: fields 14 to 17, of which the list has lost two.
        ticks += sum(int(field) for field in _stat(pid)[11:15])
    return ticks / _TICKS


def exact_cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes without descendants, to the nanosecond: clock_getcpuclockid(3)."""
    seconds, clock = 0.0, ctypes.c_int()
    for pid in pids:
        if _LIBC.clock_getcpuclockid(pid, ctypes.byref(clock)) == 0:
            with suppress(OSError):
                seconds += time.clock_gettime(clock.value)
    return seconds


def named(names: Collection[str]) -> set[int]:
    """The processes whose programs have one of these names, of which the kernel keeps 15 octets."""
    known = {name[:15] for name in names}
    found = set()
    for entry in _PROC.iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().rstrip("\n") in known:
                found.add(int(entry.name))
    return found


def forget_peak(pids: Iterable[int]) -> None:
    """Let VmHWM begin anew from what is used now."""
    for pid in family(pids):
        with suppress(OSError):
            (_PROC / str(pid) / "clear_refs").write_text("5")


def peak_kib(pids: Iterable[int]) -> int:
    """The sum of the peaks of resident memory (VmHWM) of these processes and their descendants, in KiB."""
    total = 0
    for pid in family(pids):
        with suppress(OSError):
            for line in (_PROC / str(pid) / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1])
    return total


def file_system(path: Path) -> str:
    """The type of the file system that a folder is on: "ext4", "tmpfs"…"""
    best, kind = "", "unknown"
    for line in (_PROC / "mounts").read_text().splitlines():
        _, mount, its_kind, *_ = line.split()
        if path.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, its_kind
    return kind


def cpu_model() -> str:
    """What /proc/cpuinfo calls the processors."""
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
