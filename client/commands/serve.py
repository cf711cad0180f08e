"""`correio serve`: a whole server in the foreground, its conversations on the screen, until Ctrl-C.

The options are the settings of `make up`, from the one table that they have; stack/foreground.py does the work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from ..language import Language
from ..options import color_option, language_option, run_option
from ..run_folder import run_folder
from ..stack.display import Display
from ..stack.owned_stack import OwnedStack, StackError, table
from ..terminal import Paint

# The settings that the command line has in a form of their own: the argument, and the option of all commands.
_OF_THEIR_OWN = ("USERS", "RUN")


class _Command(click.Command):
    """The command, with an option for each setting; the table is read only when somebody asks for these."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_settings()]


def _settings() -> Iterator[click.Option]:
    # Without the services there is nothing to be set; the command itself says so.
    with suppress(StackError):
        for name, setting in table().items():
            if name not in _OF_THEIR_OWN and not setting.get("engine"):
                default = f", else {setting['default']}" if setting["default"] else ""
                about = f"{setting['what'][:1].upper()}{setting['what'][1:]}. [env {name}{default}]"
                yield click.Option([f"--{name.lower().replace('_', '-')}"], metavar="VALUE", help=about)


@click.command(
    name="serve",
    cls=_Command,
    epilog="Exit status: 0 after Ctrl-C, 1 it could not be started or was ended from elsewhere, 2 wrong usage, 4 its "
    "output was closed or full, 78 a setting or the users file is wrong.",
)
@click.argument("users", required=False, type=click.Path(path_type=Path))
@color_option
@language_option
@run_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    users: Path | None,
    paint: Paint,
    language: Language,
    **settings: str | None,
) -> None:
    """Run a whole server here until Ctrl-C, and show each conversation as it happens.

    USERS is the file of its users, an address a line [env USERS, else users.txt]. Each has a mailbox, a text file.
    All that a running server needs is in the folder RUN; it belongs to the mailboxes, keep them together. What dies
    of the server is started again. When this command ends, however that happens, the server does, and no mail is
    lost.

    \b
    Examples:
      $ correio serve users.txt
      $ correio serve users.txt --port 2525 --domain mail.example.org
      $ correio serve --lang pt
    """
    if context.parent and (context.parent.params.get("host") or context.parent.params.get("port")):
        raise click.UsageError("Where the server is to listen is said behind the command: serve --bind --port")
    chosen = {name.upper(): value for name, value in settings.items() if value is not None}
    if users is not None:
        chosen["USERS"] = str(users)
    environment = {name: value for name, value in os.environ.items() if name != "BASE"}
    # It needs ZeroMQ, which takes a moment to load.
    from ..stack.foreground import stay_in_foreground

    stack = OwnedStack(run_folder().path, environment | chosen, chosen)
    context.exit(stay_in_foreground(stack, Display(paint, language)))
