"""What a figure depends on besides the code: the machine, the disk, the versions, the commit."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import procfs
from bench.peers.base import ROOT
from bench.report import percentile

_SYNCS = 200


def describe(folder: Path) -> dict[str, Any]:
    """A record of where and of what figures were taken; `folder` is on the disk that mail is written to."""
    times = _sync_times(folder)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "processors": f"{os.cpu_count()} x {procfs.cpu_model()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": procfs.file_system(folder),
        "fdatasync_ms": {"p50": percentile(times, 0.5) * 1000, "p99": percentile(times, 0.99) * 1000},
    }


def commit() -> str:
    """The commit, with a + where the tree differs from it; "unknown" outside of a repository."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _sync_times(folder: Path) -> list[float]:
    """Seconds of appending 4 KiB and syncing them, on an otherwise idle disk."""
    path = folder / "sync-times"
    times = []
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            os.write(file, bytes(4096))
            os.fdatasync(file)
            times.append(time.perf_counter() - began)
    finally:
        os.close(file)
        path.unlink()
    return times
