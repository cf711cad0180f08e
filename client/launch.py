"""Runs one service of a private stack: `python -P launch.py SERVICE`, with standard input held open by its owner.

When the owner ends, however that happens, the kernel closes the pipe, and the service stops as it does for SIGTERM:
no test run, not even one that was killed, leaves a server behind.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def follow_owner(descriptor: int) -> None:
    """Return when the other end of the pipe is closed, having told this process to stop."""
    while os.read(descriptor, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(service: str) -> None:
    """Run it until it stops."""
    # Away from descriptor 0, which the service's own libraries may look at.
    descriptor = os.dup(0)
    threading.Thread(target=follow_owner, args=(descriptor,), daemon=True).start()
    runpy.run_module(service, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
