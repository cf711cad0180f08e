"""`correio list`, `show` and `read`: what is in a mailbox file.

mailbox/files.py finds and reads it, mail/view.py tells what a message says, mailbox/showing.py makes text of that.
Limits: one message is in memory at a time.
"""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path

import click

from ..language import counted
from ..mail.parts import Part
from ..mail.view import StoredMail
from ..mailbox.files import MailboxError, MailboxFile, mails, open_mailbox
from ..mailbox.saving import save as save_parts
from ..mailbox.showing import in_a_line, render
from ..options import complete_address, json_option, mailboxes_option
from ..output import as_line, write, write_json, write_raw
from ..terminal import harmless_line, harmless_text

_LAST = "-1"
_RULE = "-" * 72


@click.command(name="list", epilog="Exit status: 0 the mailbox was listed, 1 it cannot be read, 2 wrong usage.")
@click.argument("address", shell_complete=complete_address)
@mailboxes_option
@json_option
def list_command(address: str, mailboxes: Path, as_json: bool) -> None:
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
            click.echo(as_line(mail.summary()).encode() if as_json else in_a_line(mail))
    if not found and not as_json:
        click.echo(f"No mail for {address}.")


@click.command(
    name="show",
    epilog="Exit status: 0 the message was shown, 1 there is no such message or part, the mailbox cannot be read, or "
    "a part not be saved, 2 wrong usage.",
)
@click.argument("address", shell_complete=complete_address)
@click.argument("which", metavar="[ID|N]", default=_LAST)
@click.option("--raw", is_flag=True, help="The message as it stands in the mailbox, octet by octet.")
@click.option("--part", type=click.IntRange(min=1), metavar="N", help="Only its N-th part, decoded.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the parts into files of this folder, under names that do no harm; never over a file that is there.",
)
@mailboxes_option
@json_option
def show_command(
    *, address: str, which: str, raw: bool, part: int | None, save: Path | None, mailboxes: Path, as_json: bool
) -> None:
    """Show one message of the mailbox of ADDRESS: the last, the one with a delivery ID, or the N-th.

    N counts from 1; -1 is the last, -2 the one before it (write -- before it: correio show -- ADDRESS -2).
    With --json it is an object: what `list --json` gives, and headers (pairs), text, html, parts, problems.
    Parts are counted from 1, in the order of --json. A page (HTML, SVG) is saved with .txt behind its name: a browser
    that opened it as a file would let it read others.

    \b
    Examples:
      $ correio show ana@example.org
      $ correio show ana@example.org 004eb9c81aa0-2.1
      $ correio show ana@example.org 1 --json | jq -r .html
      $ correio show ana@example.org --part 2 > invoice.pdf
      $ correio show ana@example.org --save parts
    """
    if raw + as_json + (part is not None or save is not None) > 1:
        raise click.UsageError("--raw, --json, and --part with or without --save are each for themselves")
    with open_mailbox(mailboxes, address) as mailbox:
        mail = _find(mailbox, address, which)
    if mail is None and which == _LAST:
        raise MailboxError(f"There is no mail for {address}")
    if mail is None:
        raise MailboxError(f"There is no message {which} in the mailbox of {address}; see: correio list {address}")
    if raw:
        write_raw(mail.raw)
    elif as_json:
        write_json(mail.as_json())
    elif save is not None:
        for number, path in save_parts(_parts(mail, part), save):
            click.echo(f"{number}  {harmless_line(str(path))}")
    elif part is not None:
        ((_, only),) = _parts(mail, part)
        _write_part(only, part)
    else:
        click.echo(render(mail))


def _find(mailbox: MailboxFile, address: str, which: str) -> StoredMail | None:
    """One message is in memory at a time, whichever it is."""
    found = mails(mailbox, address)
    try:
        number = int(which)
    except ValueError:
        return next((mail for mail in found if mail.id == which), None)
    if number == -1:
        return next(iter(deque(found, maxlen=1)), None)
    if number < 0:
        numbers = [mail.number for mail in found]
        number = numbers[number] if -number <= len(numbers) else 0
        found = mails(mailbox, address)
    return next((mail for mail in found if mail.number == number), None)


def _parts(mail: StoredMail, number: int | None) -> list[tuple[int, Part]]:
    """The parts with their numbers; only one if its number is given."""
    found = [each for each in enumerate(mail.parts, 1) if number in (None, each[0])]
    if not found:
        raise MailboxError(f"Message {mail.number} has no part {number}; it has {counted(len(mail.parts), 'part')}")
    return found


def _write_part(part: Part, number: int) -> None:
    if not sys.stdout.isatty():
        write(part.octets)
    elif part.type.startswith("text/"):
        click.echo(harmless_text(part.text))
    else:
        raise click.UsageError(
            f"part {number} is {harmless_line(part.type)}, which no terminal shows: --save DIR, or > FILE"
        )


@click.command(name="read", epilog="Exit status: 0 the mailbox was shown, 1 it cannot be read, 2 wrong usage.")
@click.argument("address", shell_complete=complete_address)
@mailboxes_option
@click.option("--raw", is_flag=True, help="The file as it is, octet by octet.")
def read_command(address: str, mailboxes: Path, raw: bool) -> None:
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
            for octets in mailbox.pieces():
                write_raw(octets)
            return
        found = False
        for mail in mails(mailbox, address):
            if found:
                click.echo(_RULE)
            found = True
            click.echo(render(mail))
        if not found:
            click.echo(f"No mail for {address}.")
