"""What a stack's RUN folder tells whoever is on its machine: how the stack was started, and where its sockets are.

Gives: `Server`, where one listens; `Stack`, read from RUN/stack.json; `RunFolder`, which folder that is for this
command: --run, else the environment's RUN, else ./run; `run_option`; `other_port` and `is_there`, for who found
nobody at a port.
Fails: `NoStack`, with what to do about it.
Limits: the file tells what was started. Whether it still runs, only its services can tell.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

# Exit status when nobody listens or the connection was lost before the last reply.
EXIT_NO_SERVER = 3
# Where click keeps, for a command and those below it, the folder that --run named.
_META = "client.run_folder"


class NoStack(click.ClickException):
    """No stack runs in this folder, or it cannot be told."""

    exit_code = EXIT_NO_SERVER


class NothingStarted(NoStack):
    """There is no stack in this folder, or none any more."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens; `told` is whether somebody said so."""

    host: str
    port: int
    told: bool = True


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
    # Its settings of these names; None where they are not told.
    mailboxes: Path | None = None
    users: Path | None = None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of the stack that a command is about; `named`: somebody said which one."""

    path: Path
    named: bool

    def stack(self) -> Stack | None:
        """The stack in it; None where there is none, and nobody has asked for this one.

        :raises NoStack: there is none in the folder that was named, or what it holds cannot be read.
        """
        try:
            return read_stack(self.path)
        except NothingStarted:
            if self.named:
                raise
            return None


def run_folder() -> RunFolder:
    """That of the command that is being done."""
    context = click.get_current_context(silent=True)
    named = (context.meta.get(_META) if context else None) or os.environ.get("RUN")
    return RunFolder(Path(named or "run"), bool(named))


def takes_run(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --run, once; `run_folder` gives what was said, before the subcommand or behind it."""
    if any(parameter.name == "run" for parameter in getattr(function, "__click_params__", ())):
        return function
    return click.option(
        "--run",
        type=click.Path(path_type=Path),
        # The other options ask it what they are.
        is_eager=True,
        expose_value=False,
        callback=_remember,
        help="The stack's folder. [env RUN, else ./run]",
    )(function)


def _remember(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.meta[_META] = str(value)


def run_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --run; the function gets the folder as the keyword argument `run`."""

    @functools.wraps(function)
    def with_run(*args: Any, **given: Any) -> Any:
        return function(*args, run=run_folder().path, **given)

    return takes_run(with_run)


def read_stack(run: Path) -> Stack:
    """The stack that was started in this folder.

    :raises NoStack: there is none, or the folder cannot be read.
    """
    path = run / "stack.json"
    try:
        told = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise NothingStarted(
            f"No stack runs in RUN={run}. Start one with: make up, or correio serve; or name another folder: --run"
        ) from None
    except (OSError, ValueError) as error:
        raise NoStack(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(told, dict):
        raise NoStack(f"{path} is not what make up writes")
    sockets, settings = told.get("sockets"), told.get("settings")
    host, port = told.get("host"), told.get("port")
    settings = settings if isinstance(settings, dict) else {}
    workers = str(settings.get("WORKERS", ""))
    return Stack(
        mode=str(told.get("mode", "")),
        sockets=_path(sockets),
        workers=int(workers) if workers.isascii() and workers.isdigit() else 0,
        host=host if isinstance(host, str) else "",
        port=port if isinstance(port, int) else 0,
        mailboxes=_path(settings.get("MAILBOXES")),
        users=_path(settings.get("USERS")),
    )


def _path(told: object) -> Path | None:
    return Path(told) if isinstance(told, str) and told else None


def other_port(port: int) -> tuple[Path, int] | None:
    """For who found nobody at this port: RUN, and the port that the stack in it has, if that is another."""
    run = run_folder().path
    started = _started(run)
    return None if started in (0, port) else (run, started)


def is_there(port: int) -> Path | None:
    """For who found nobody at this port: RUN, if a stack was started there that should have it."""
    run = run_folder().path
    return run if _started(run) == port else None


def _started(run: Path) -> int:
    try:
        return read_stack(run).port
    except NoStack:
        return 0
