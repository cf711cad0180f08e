"""`correio read`: the messages of a mailbox, as text for a person.

Gives: `command`, and `render`, one message as text: number, sender, date, subject, delivery id, and what it says.
Fails: `mbox.MailboxError`. A message is shown whatever is wrong with it: headers and text that cannot be decoded
appear as they are, with signs in place of what no terminal should get.
Limits: one message is in memory at a time.
"""

from __future__ import annotations

from pathlib import Path

import click

from ..mail.view import StoredMail
from ..mailbox.files import MailboxFile, mails, open_mailbox
from ..options import complete_address, mailboxes_option
from ..output import write_raw
from ..terminal import harmless_line, harmless_text

_RULE = "-" * 72
# Nobody reads more on a terminal; and half a second goes into making so much of it harmless.
_SHOWN_AT_MOST = 2 * 1024 * 1024


def render(mail: StoredMail) -> str:
    """One message as text that is safe for a terminal."""
    summary = {
        "From": mail.sender_field or mail.sender or "(nobody)",
        **{name: value for name in ("To", "Cc") if (value := mail.field(name))},
        "Date": mail.date or "(none)",
        "Subject": mail.subject or "(none)",
        "Id": mail.id or "(none)",
    }
    lines = [f"Message {mail.number}", *(f"{name}: {harmless_line(value)}" for name, value in summary.items())]
    shown = mail.shown
    text = harmless_text(shown[:_SHOWN_AT_MOST]).rstrip("\n")
    if len(shown) > _SHOWN_AT_MOST:
        text += f"\n[{len(shown) - _SHOWN_AT_MOST} more characters: correio show --raw, or --json]"
    return "\n".join([*lines, "", *([text, ""] if text else [])])


@click.command(name="read", epilog="Exit status: 0 the mailbox was shown, 1 it cannot be read, 2 wrong usage.")
@click.argument("address", shell_complete=complete_address)
@mailboxes_option
@click.option("--raw", is_flag=True, help="The file as it is, octet by octet.")
def command(address: str, mailboxes: Path, raw: bool) -> None:
    """Show the messages in the mailbox of ADDRESS.

    The mailbox is the file ADDRESS.txt. It is only read, and mail can arrive meanwhile.

    \b
    Examples:
      $ correio read joao@example.com
      $ correio read joao@example.com --mailboxes /srv/mail
      $ correio read joao@example.com --raw | grep Subject
    """
    with open_mailbox(mailboxes, address) as mailbox:
        if raw:
            _copy(mailbox)
            return
        found = False
        for mail in mails(mailbox, address):
            if found:
                click.echo(_RULE)
            found = True
            click.echo(render(mail))
        if not found:
            click.echo(f"No mail for {address}.")


def _copy(mailbox: MailboxFile) -> None:
    for octets in mailbox.pieces():
        write_raw(octets)
