"""The processes of a stack, found without anybody's help: by the mark in their environment.

supervisord knows its children, but it can die and leave them. What it started carries CORREIO_RUN, the stack's RUN
folder, and so does it itself; the kernel shows that in /proc. Where there is no /proc nothing is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "CORREIO_RUN"
_POLL_SECONDS = 0.05
# After SIGKILL only a process that hangs in the kernel (a dead disk) is still there after this.
_KILLED_SECONDS = 5.0


def find(run: Path) -> list[int]:
    """The pids of all processes that were started for this RUN folder."""
    mark = f"{MARK}=".encode() + os.fsencode(run)
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _has(entry, mark)]


def stop(run: Path, grace: float) -> list[int]:
    """End them all: SIGTERM, and SIGKILL after `grace` seconds. Returns the pids that are still there after that."""
    for kind, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED_SECONDS)):
        for pid in find(run):
            _signal(pid, kind)
        if _gone_within(run, seconds):
            return []
    return find(run)


def _gone_within(run: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while find(run):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _has(entry: Path, mark: bytes) -> bool:
    try:
        # A dead process that waits for its parent (a zombie) has an empty environment: it is no leftover.
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it has ended meanwhile, or is somebody else's


def _signal(pid: int, kind: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, kind)
