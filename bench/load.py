"""Loads: some thousand messages sent to a port, by Postfix's smtp-source or by a generator of our own.

Fails: `Sent.error` tells why a run ended early; what was acknowledged is then known only from our own generator.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field

from bench.generator import Job, Result
from bench.peers.base import DOMAIN, ROOT, address

# A run that takes so long is stuck.
_TIMEOUT = 60.0


@dataclass
class Sent:
    """What a load did; the lists hold seconds of single messages."""

    acknowledged: int
    seconds: float
    cpu_seconds: float
    error: str = ""
    dot_to_250: list[float] = field(default_factory=list)
    connect_to_greeting: list[float] = field(default_factory=list)


def smtp_source() -> str:
    """The path of smtp-source.

    :raises FileNotFoundError: where Postfix's tools are not installed.
    """
    path = shutil.which("smtp-source", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    if path is None:
        raise FileNotFoundError("smtp-source is not installed; on Debian: apt-get install postfix")
    return path


def by_smtp_source(job: Job) -> Sent:
    """One RCPT a message, no pipelining; HELO and the sender have the same domain, as the course dialect asks."""
    command = [smtp_source(), "-M", DOMAIN, "-f", f"bench@{DOMAIN}", "-t", address(0), "-C", "50"]
    command += ["-l", str(job.size), "-m", str(job.count), "-s", str(min(job.sessions, job.count))]
    command += ["-d"] if job.keep else []
    before, began = _children_cpu(), time.perf_counter()
    try:
        done = subprocess.run(
            [*command, f"127.0.0.1:{job.port}"], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return Sent(0, _TIMEOUT, 0.0, "smtp-source is stuck")
    seconds = time.perf_counter() - began
    error = "" if done.returncode == 0 else f"smtp-source: {done.stderr.strip()[-200:]}"
    return Sent(0 if error else job.count, seconds, _children_cpu() - before, error)


def by_generator(job: Job) -> Sent:
    """See `bench.generator`."""
    command = [sys.executable, "-m", "bench.generator", json.dumps(vars(job))]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return Sent(0, _TIMEOUT, 0.0, "the generator is stuck")
    if done.returncode != 0:
        return Sent(0, 0.0, 0.0, f"the generator failed: {done.stderr.strip()[-300:]}")
    return Sent(**vars(Result(**json.loads(done.stdout))))


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
