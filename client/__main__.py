"""The command `correio`, also `python -m client`: without a subcommand it opens a session.

A new one is a module in `commands/` with a click command, added to `COMMANDS` below.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from . import VERSION
from .commands import doctor, reading, send, serve, shell_completion, status, wait, watch
from .commands.session import Wishes, hold, session_options
from .options import server_options
from .output import guarded
from .run_folder import Server
from .terminal import FittingContext, fit_streams

COMMANDS = (
    serve.command,
    send.command,
    wait.command,
    reading.list_command,
    reading.show_command,
    reading.read_command,
    status.command,
    watch.command,
    doctor.command,
    shell_completion.command,
)


# The shell's status for a command that Ctrl-C ended: 128 + SIGINT.
EXIT_INTERRUPTED = 130


class Commands(click.Group):
    """The commands: what they say fits the terminal, a Ctrl-C that they leave to Python is no failure, and an output
    that takes nothing is told in one line."""

    context_class = FittingContext

    def main(self, *args: Any, **extra: Any) -> Any:
        """Do what the command line says, and end the process."""
        fit_streams()
        return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line, and give help."""
        with guarded():
            return super().make_context(*args, **extra)

    def invoke(self, context: click.Context) -> Any:
        """Do the command, with `EXIT_INTERRUPTED` where it is interrupted."""
        try:
            with guarded():
                return super().invoke(context)
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                click.echo(err=True)  # the terminal has shown ^C
            context.exit(EXIT_INTERRUPTED)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    cls=Commands,
    epilog="Exit status of a session: 0 after the server's farewell (221), 1 otherwise, 3 if nobody listens. "
    "130 after Ctrl-C, of every command that ends by it; 4 where standard output takes nothing (a full disk).",
)
@server_options
@session_options
@click.version_option(VERSION, prog_name="correio")
@click.pass_context
def main(context: click.Context, server: Server, wishes: Wishes) -> None:
    """Talk SMTP to a server by hand, send mail, read mailboxes.

    Without a COMMAND a session is opened: you see what the server says, and what you type is sent as it is. After
    DATA you type the message, and may go back and correct it; a single dot on a line ends it. (A line of it that
    begins with a dot needs a second one: the server drops the first, as SMTP asks.) QUIT and Ctrl-D
    leave; Ctrl-C clears the line that is typed, and leaves where it is empty.

    The status line says where you stand and what may come next; Tab completes a command, the arrow keys bring back
    former ones, and a refusal is followed by a hint.

    \b
    A first session:
      $ correio
      smtp> HELO example.com
      smtp> MAIL FROM:<maria@example.com>
      smtp> RCPT TO:<joao@example.com>
      smtp> DATA
      message> Subject: Hello
      message>
      message> How are you?
      message> .
      smtp> QUIT

    \b
    Other examples:
      $ correio --port 2525
      $ correio --explain --save session.smtp
      $ correio --lang pt
      $ correio serve users.txt
      $ correio < session.txt
      $ echo 'See you at 8' | correio send --from maria@example.com --to joao@example.com
      $ correio read joao@example.com
    """
    context.obj = server
    if context.invoked_subcommand is None:
        context.exit(hold(server, wishes))
    if wishes != Wishes():
        raise click.UsageError("--lang, --color, --hints, --explain and --save are for a session, not for a command")


for _command in COMMANDS:
    _command.context_class = FittingContext
    # The whole of its first sentence: click would cut it.
    _command.short_help = _command.get_short_help_str(limit=1000)
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="correio")
