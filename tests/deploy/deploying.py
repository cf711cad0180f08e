"""What the tests of the deploy tool share: the tool run as `make` runs it, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.stack import ROOT

# Enough for a stack that waits for its shutdown grace; a test that needs longer has failed.
_COMMAND_SECONDS = 100.0


def environment(**settings: str) -> dict[str, str]:
    """Only what a program needs, so that settings of an outer `make` do not leak in, and these settings."""
    kept = {
        name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR", "LANG", "DOCKER_HOST") if name in os.environ
    }
    return kept | {"PYTHONPATH": str(ROOT)} | settings


def deploy(command: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the tool in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "deploy", command],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS,
    )


def processes_of(run: Path) -> list[int]:
    """The pids of what was started for a RUN folder, looked up without the tool's help."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"CORREIO_RUN=" + os.fsencode(run) in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def read_settings(path: Path) -> Mapping[str, str]:
    """NAME=value lines."""
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in pairs}
