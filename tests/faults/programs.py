"""Services with a fault built in: program texts for `Stack.start(name, program=...)`.

Each changes something in a service's modules, in a process of its own, and then runs the service as `python -m` does.
So the product has no hook for tests, and a fault happens at the same place every time.
"""

from __future__ import annotations

from pathlib import Path

_RUN = """
import runpy
runpy.run_module({service!r}, run_name="__main__", alter_sys=True)
"""

# `once` makes a fault happen in one process only, of all that run the same text: the first to make the file.
_ONCE = """
import os, signal
def once():
    try:
        os.close(os.open({flag!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def store(change: str, flag: Path) -> str:
    """A store with a change; the text may call `once()` and `die()`.

    :param flag: the file that `once` makes.
    """
    return _ONCE.format(flag=str(flag)) + change + _RUN.format(service="mailbox_store")


def worker(change: str, flag: Path) -> str:
    """A session worker with a change; see `store`."""
    return _ONCE.format(flag=str(flag)) + change + _RUN.format(service="session_worker")


def on_line(line: str, action: str) -> str:
    """The change of a worker that does something when a client says this line, before the dialogue sees it."""
    return f"""
import time
from session_worker.dialogue import steps
from wire.messages import Body, Lines
def act():
    {action}
def run(rules, step, real=steps.run):
    said = step.input.lines if isinstance(step.input, Lines) else ()
    text = step.input.data if isinstance(step.input, Body) else b""
    if {line.encode()!r} in said or {line.encode()!r} in text:
        act()
    return (yield from real(rules, step))
steps.run = run
"""
