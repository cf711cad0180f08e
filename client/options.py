"""The options that several commands have: where the server is, where the mailboxes are, output for programs.

What neither an option nor the environment tells, the stack in RUN does (`run_folder`), and else the defaults hold.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from .language import Language, language_of
from .mail.users import SUFFIX
from .mailbox.files import MailboxError
from .run_folder import NoStack, Server, remember, run_folder
from .terminal import COLOR_CHOICES, Paint, leave_lines_whole, wants_color

# Where `make up` listens unless told otherwise.
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 12000


def run_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --run, once; `run_folder` tells which folder that is."""
    if any(parameter.name == "run" for parameter in getattr(function, "__click_params__", ())):
        return function
    return click.option(
        "--run",
        type=click.Path(path_type=Path),
        # The other options ask it what they are.
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="The stack's folder. [env RUN, else ./run]",
    )(function)


def server_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --host, --port and --run; the function gets where the server is as the keyword argument `server`.

    Given before a subcommand they hold for it as well, unless it has its own. The environment is below both, and the
    stack in RUN below that.
    """

    @click.option("--host", help=f"Name or address of the server. [env CORREIO_HOST, the stack's, {DEFAULT_HOST}]")
    @click.option(
        "--port",
        type=click.IntRange(1, 65535),
        help=f"Its TCP port. [env CORREIO_PORT, the stack's, {DEFAULT_PORT}]",
    )
    @run_option
    @click.pass_context
    @functools.wraps(function)
    def with_server(context: click.Context, /, *args: Any, host: str | None, port: int | None, **rest: Any) -> Any:
        outer = context.parent.obj if context.parent else None
        known = outer if isinstance(outer, Server) and outer.told else None
        environment = any(os.environ.get(name) for name in ("CORREIO_HOST", "CORREIO_PORT"))
        server = Server(
            host or (known.host if known else os.environ.get("CORREIO_HOST") or DEFAULT_HOST),
            port or (known.port if known else _port_of_environment()),
            bool(host or port or known or environment),
        )
        # Before a subcommand it is not known yet whether a server will be asked.
        if not server.told and not context.invoked_subcommand:
            server = _of_stack() or server
        return function(*args, server=server, **rest)

    return with_server


def _of_stack() -> Server | None:
    """Where the stack in RUN listens; None where there is none.

    :raises NoStack: as `RunFolder.stack`.
    """
    stack = run_folder().stack()
    return Server(stack.host, stack.port, told=False) if stack and stack.host and stack.port else None


def _port_of_environment() -> int:
    given = os.environ.get("CORREIO_PORT") or str(DEFAULT_PORT)
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= 65535):
        raise click.UsageError(f"CORREIO_PORT={given}: a port is a number from 1 to 65535")
    return int(given)


def mailboxes_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --mailboxes and --run; the function gets the folder as the keyword argument `mailboxes`."""
    return click.option(
        "--mailboxes",
        envvar="MAILBOXES",
        type=click.Path(path_type=Path),
        callback=_mailboxes,
        help="The folder of the mailbox files. [env MAILBOXES, the stack's, ./mailboxes]",
    )(run_option(function))


def _mailboxes(_: click.Context, __: click.Parameter, given: Path | None) -> Path:
    if given is not None:
        return given
    try:
        stack = run_folder().stack()
    except NoStack as error:
        raise MailboxError(f"{error.message}; or say where the mailboxes are: --mailboxes") from None
    return (stack.mailboxes if stack else None) or Path("mailboxes")


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json; the function gets the keyword argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, callback=_whole_lines, help="Output for programs: JSON.")(
        function
    )


def _whole_lines(_: click.Context, __: click.Parameter, asked: bool) -> bool:
    if asked:
        leave_lines_whole()
    return asked


def color_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --color; the function gets the colours of standard output as the keyword argument `paint`."""
    return click.option(
        "--color",
        "paint",
        type=click.Choice(COLOR_CHOICES),
        default="auto",
        callback=lambda _context, _option, value: Paint(wants_color(value, os.environ, terminal=sys.stdout.isatty())),
        help="Coloured output. [auto]",
    )(function)


def language_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --lang; the function gets the language of the command's own words as the keyword argument `language`."""
    return click.option(
        "--lang",
        "language",
        type=click.Choice([language.value for language in Language]),
        callback=lambda _context, _option, value: Language(value) if value else language_of(os.environ),
        help="Language of the command's own words. [else by LC_ALL, LC_MESSAGES, LANG]",
    )(function)


def complete_address(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: the addresses that have a mailbox and begin so."""
    folder: Path = context.params.get("mailboxes") or Path("mailboxes")
    with suppress(OSError):
        names = (path.name.removesuffix(SUFFIX) for path in folder.glob(f"*@*{SUFFIX}"))
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete.casefold())]
    return []
