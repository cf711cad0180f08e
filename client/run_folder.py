"""What a stack's RUN folder tells whoever is on its machine: how the stack was started, and where its sockets are.

Gives: `Stack`, read from RUN/stack.json; `other_port`, for who tried the wrong one.
Fails: `NoStack`, with what to do about it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .options import EXIT_NO_SERVER


class NoStack(click.ClickException):
    """No stack runs in this folder, or it cannot be told."""

    exit_code = EXIT_NO_SERVER


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that was started; `sockets` is None where it has none that this machine reaches.

    `host` and `port` are where this machine reaches its server; empty and 0 where that is not told.
    """

    mode: str
    sockets: Path | None
    workers: int
    # Where its clients connect; "" and 0 where that is not told.
    host: str = ""
    port: int = 0


def run_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --run; the function gets the folder as the keyword argument `run`."""
    return click.option(
        "--run",
        envvar="RUN",
        default="run",
        type=click.Path(path_type=Path),
        help="The stack's folder. [env RUN, else ./run]",
    )(function)


def read_stack(run: Path) -> Stack:
    """The stack that was started in this folder.

    :raises NoStack: there is none, or the folder cannot be read.
    """
    path = run / "stack.json"
    try:
        told = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise NoStack(f"No stack runs in RUN={run}. Start one with: make up; or name another folder: --run") from None
    except (OSError, ValueError) as error:
        raise NoStack(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(told, dict):
        raise NoStack(f"{path} is not what make up writes")
    sockets, settings = told.get("sockets"), told.get("settings")
    host, port = told.get("host"), told.get("port")
    workers = str(settings.get("WORKERS", "")) if isinstance(settings, dict) else ""
    return Stack(
        mode=str(told.get("mode", "")),
        sockets=Path(sockets) if isinstance(sockets, str) and sockets else None,
        workers=int(workers) if workers.isascii() and workers.isdigit() else 0,
        host=host if isinstance(host, str) else "",
        port=port if isinstance(port, int) else 0,
    )


def other_port(port: int) -> tuple[Path, int] | None:
    """For who found nobody at this port: RUN, and the port that the stack in it has, if that is another."""
    run = Path(os.environ.get("RUN") or "run")
    try:
        started = read_stack(run).port
    except NoStack:
        return None
    return None if started in (0, port) else (run, started)
