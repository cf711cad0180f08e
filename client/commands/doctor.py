"""`correio doctor`: what is wrong here, and what to do about it; stack/checks.py looks."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from ..options import json_option, mailboxes_option, server_options
from ..output import write_json
from ..run_folder import Server, run_folder
from ..stack.checks import FAILED, OK, checks
from ..terminal import harmless_text


@click.command(
    name="doctor",
    epilog="Exit status: 0 nothing keeps it from working (warnings count as well), 1 something does, 2 wrong usage.",
)
@server_options
@click.option(
    "--users",
    envvar="USERS",
    type=click.Path(path_type=Path),
    help="The list of users. [env USERS, the stack's, ./users.txt]",
)
@mailboxes_option
@json_option
def command(server: Server, users: Path | None, mailboxes: Path, as_json: bool) -> None:
    """Look for what keeps the server from working: a check a line, and what to do where one fails.

    It looks at Python, the port and who has it, whether mail is taken, the users file, the mailbox folder, the room
    on its disk, and the Docker engine. Nothing is changed and no mail is sent.

    \b
    Examples:
      $ correio doctor
      $ correio doctor --json | jq '.[] | select(.state != "ok")'
    """
    findings = list(checks(server, users or _users_of_stack(), mailboxes))
    if as_json:
        write_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{finding.state:8} {finding.check:10} {harmless_text(finding.what)}")
            if finding.state != OK:
                click.echo(f"{'':19} -> {finding.advice}")
    sys.exit(1 if any(finding.state == FAILED for finding in findings) else 0)


def _users_of_stack() -> Path:
    stack = run_folder().stack()
    return (stack.users if stack else None) or Path("users.txt")
