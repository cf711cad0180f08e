"""`correio shell-completion`: what a shell needs to complete our commands, options and addresses."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command(name="shell-completion", epilog="Exit status: 0 the script was printed, 2 wrong usage.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and the addresses of mailboxes.

    \b
    Examples, each for a shell's start file:
      $ eval "$(correio shell-completion bash)"
      $ eval "$(correio shell-completion zsh)"
      $ correio shell-completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click has one for each of SHELLS"
    click.echo(kind(context.find_root().command, {}, "correio", "_CORREIO_COMPLETE").source())
