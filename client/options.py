"""The options that several commands have: where the server is, where the mailboxes are, output for programs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from .mbox import SUFFIX

# Exit status when nobody listens or the connection was lost before the last reply.
EXIT_NO_SERVER = 3
# Where `make up` listens unless told otherwise.
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 12000


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens; `told` is whether somebody said so."""

    host: str
    port: int
    told: bool = True


def server_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --host and --port; the function gets them as the keyword argument `server`.

    Given before a subcommand they hold for it as well, unless it has its own. The environment is below both.
    """

    @click.option("--host", help=f"Name or address of the server. [env CORREIO_HOST, else {DEFAULT_HOST}]")
    @click.option(
        "--port",
        type=click.IntRange(1, 65535),
        help=f"Its TCP port. [env CORREIO_PORT, else {DEFAULT_PORT}]",
    )
    @click.pass_context
    @functools.wraps(function)
    def with_server(context: click.Context, /, *args: Any, host: str | None, port: int | None, **rest: Any) -> Any:
        outer = context.parent.obj if context.parent else None
        known = outer if isinstance(outer, Server) else None
        environment = any(os.environ.get(name) for name in ("CORREIO_HOST", "CORREIO_PORT"))
        server = Server(
            host or (known.host if known else os.environ.get("CORREIO_HOST") or DEFAULT_HOST),
            port or (known.port if known else _port_of_environment()),
            bool(host or port or (known.told if known else environment)),
        )
        return function(*args, server=server, **rest)

    return with_server


def _port_of_environment() -> int:
    given = os.environ.get("CORREIO_PORT") or str(DEFAULT_PORT)
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= 65535):
        raise click.UsageError(f"CORREIO_PORT={given}: a port is a number from 1 to 65535")
    return int(given)


def mailboxes_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --mailboxes; the function gets the folder as the keyword argument `mailboxes`."""
    return click.option(
        "--mailboxes",
        envvar="MAILBOXES",
        default="mailboxes",
        type=click.Path(path_type=Path),
        help="The folder of the mailbox files. [env MAILBOXES, else ./mailboxes]",
    )(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json; the function gets the keyword argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Output for programs: JSON.")(function)


def complete_address(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: the addresses that have a mailbox and begin so."""
    folder = Path(context.params.get("mailboxes") or os.environ.get("MAILBOXES") or "mailboxes")
    with suppress(OSError):
        names = (path.name.removesuffix(SUFFIX) for path in folder.glob(f"*@*{SUFFIX}"))
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete.casefold())]
    return []
