"""`correio list`: a line for each message of a mailbox."""

from __future__ import annotations

from pathlib import Path

import click

from ..mail.view import StoredMail
from ..mailbox.files import mails, open_mailbox
from ..options import complete_address, json_option, mailboxes_option
from ..output import as_line
from ..terminal import harmless_line

_WIDTHS = (4, 20, 25, 32)


@click.command(name="list", epilog="Exit status: 0 the mailbox was listed, 1 it cannot be read, 2 wrong usage.")
@click.argument("address", shell_complete=complete_address)
@mailboxes_option
@json_option
def command(address: str, mailboxes: Path, as_json: bool) -> None:
    """List the messages in the mailbox of ADDRESS: number, delivery id, date, sender, subject.

    With --json each message is an object on a line of its own: number, id, sender (of the envelope), from, subject,
    date, received (ISO 8601), octets.

    \b
    Examples:
      $ correio list ana@example.org
      $ correio list ana@example.org --json | jq -r 'select(.sender == "") | .id'
    """
    found = False
    with open_mailbox(mailboxes, address) as mailbox:
        for mail in mails(mailbox, address):
            found = True
            click.echo(as_line(mail.summary()).encode() if as_json else _line(mail))
    if not found and not as_json:
        click.echo(f"No mail for {address}.")


def _line(mail: StoredMail) -> str:
    received = mail.received[:19].replace("T", " ") or mail.date[:19]
    cells = (str(mail.number), mail.id or "(no id)", received, mail.sender_field or mail.sender or "<>")
    columns = [harmless_line(cell)[:width].ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    return "  ".join([*columns, harmless_line(mail.subject)]).rstrip()
