"""Runs a program that ends with its owner: `python -P -m deploy.launch MODULE [ARGUMENT...]`.

The owner holds the other end of standard input open. When it ends, however that happens, the kernel closes the pipe,
and the program stops as it does for SIGTERM. So nothing of an owned stack outlives who started it, not even where
that, or the supervisor, was killed.
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


def main(module: str, arguments: list[str]) -> None:
    """Run it until it stops."""
    # Away from descriptor 0, which the program's own libraries may look at.
    descriptor = os.dup(0)
    threading.Thread(target=follow_owner, args=(descriptor,), daemon=True).start()
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
