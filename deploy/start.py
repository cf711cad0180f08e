"""What to type next: commands to be pasted into a shell, whatever is in the names of folders.

Gives: `what_next`, said once a stack takes mail; `run_argument`, which names its RUN to make.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from deploy import targets
from deploy.config import StackSettings


def run_argument(run: Path) -> str:
    """For a command line of make, which a shell reads first: quotes are for the shell, and make's `$` is `$$`."""
    return "" if run == Path("run").resolve() else f" RUN={shlex.quote(str(run).replace('$', '$$'))}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def what_next(settings: StackSettings) -> str:
    """Where it takes mail, and a line for each command that is of use now."""
    mailbox = _quoted(settings.mailboxes / "ADDRESS.txt")
    run = run_argument(settings.run)
    # The client finds the rest in RUN.
    here = f" --run {_quoted(settings.run)}" if run else ""
    commands = {
        f"nc {settings.connect_host} {settings.port}": "speak SMTP by hand",
        f".venv/bin/correio{here}": "the same with our client",
        f".venv/bin/correio read ADDRESS{here}": f"read a mailbox; or: cat {mailbox}",
        f".venv/bin/correio watch{here}": "watch the conversations",
        f"make logs{run}": "follow the logs",
        f"make down{run}": "stop it",
    }
    if settings.metrics_port:
        listed = _quoted(settings.run / targets.NAME)
        commands[f"cat {listed}"] = "where Prometheus finds the numbers (deploy/prometheus/)"
    width = max(map(len, commands))
    lines = [f"  {command:{width}}   {meaning}" for command, meaning in commands.items()]
    return "\n".join([f"Correio takes mail on {settings.bind} port {settings.port}. What to type next:", *lines])
