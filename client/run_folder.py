"""What a stack's RUN folder tells whoever is on its machine: how the stack was started, and where its sockets are.

Gives: `Server`, where one listens; `Stack`, read from RUN/stack.json; `run_folder`, which folder that is for this
command: --run, else the environment's RUN, else ./run.
Fails: `NoStack`, with what to do about it.
Limits: the file tells what was started. Whether it still runs, only its services can tell.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

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

    @property
    def port(self) -> int:
        """Where the stack that was started in it takes mail; 0 where there is none."""
        try:
            return read_stack(self.path).port
        except NoStack:
            return 0


def run_folder() -> RunFolder:
    """That of the command that is being done."""
    context = click.get_current_context(silent=True)
    named = (context.meta.get(_META) if context else None) or os.environ.get("RUN")
    return RunFolder(Path(named or "run"), bool(named))


def remember(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    """For the option --run: `run_folder` gives what was said, before a subcommand or behind it."""
    if value is not None:
        context.meta[_META] = value


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
