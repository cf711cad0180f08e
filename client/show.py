"""`correio show`: one message of a mailbox."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from .mbox import MailboxError, open_mailbox
from .options import complete_address, json_option, mailboxes_option
from .read import render
from .stored import StoredMail, mails


@click.command(
    name="show",
    epilog="Exit status: 0 the message was shown, 1 there is no such message or the mailbox cannot be read, "
    "2 wrong usage.",
)
@click.argument("address", shell_complete=complete_address)
@click.argument("which", metavar="[ID|N]", default="-1")
@click.option("--raw", is_flag=True, help="The message as it stands in the mailbox, octet by octet.")
@mailboxes_option
@json_option
def command(address: str, which: str, raw: bool, mailboxes: Path, as_json: bool) -> None:
    """Show one message of the mailbox of ADDRESS: the last, the one with a delivery ID, or the N-th.

    N counts from 1; -1 is the last, -2 the one before it (write -- before it: correio show -- ADDRESS -2).
    With --json it is an object: what `list --json` gives, and headers (pairs), text, html, parts.

    \b
    Examples:
      $ correio show ana@example.org
      $ correio show ana@example.org 004eb9c81aa0-2.1
      $ correio show ana@example.org 1 --json | jq -r .html
    """
    with open_mailbox(mailboxes, address) as mailbox:
        mail = _find(mails(mailbox, address), which)
    if mail is None:
        raise MailboxError(f"There is no message {which} in the mailbox of {address}; see: correio list {address}")
    if raw:
        sys.stdout.buffer.write(mail.raw)
    elif as_json:
        click.echo(json.dumps(mail.as_json(), ensure_ascii=False))
    else:
        click.echo(render(mail.number, mail.entry))


def _find(found: Iterator[StoredMail], which: str) -> StoredMail | None:
    try:
        number = int(which)
    except ValueError:
        return next((mail for mail in found if mail.id == which), None)
    if number < 0:
        last = deque(found, maxlen=-number)
        return last[0] if len(last) == -number else None
    return next((mail for mail in found if mail.number == number), None)
