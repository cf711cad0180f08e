"""The options that every command which talks to a server has."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

# Where `make up` listens unless told otherwise.
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 12000


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens."""

    host: str
    port: int


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
        server = Server(
            host or (known.host if known else os.environ.get("CORREIO_HOST") or DEFAULT_HOST),
            port or (known.port if known else _port_of_environment()),
        )
        return function(*args, server=server, **rest)

    return with_server


def _port_of_environment() -> int:
    given = os.environ.get("CORREIO_PORT") or str(DEFAULT_PORT)
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= 65535):
        raise click.UsageError(f"CORREIO_PORT={given}: a port is a number from 1 to 65535")
    return int(given)
