"""Messages and mailboxes as text for a person.

Gives: `in_a_line` and `render`, a message in a line, and whole; `there_is`, what a mailbox has, for whoever waited in
vain. A message is shown whatever is wrong with it: headers and text that cannot be decoded appear as they are, with
signs in place of what no terminal should get.
"""

from __future__ import annotations

from pathlib import Path

from ..language import counted
from ..mail.view import StoredMail
from ..terminal import harmless_line, harmless_text
from .files import MailboxError, open_mailbox
from .waiting import Seen

# Columns of a line: number, id, time, sender.
_WIDTHS = (4, 20, 25, 32)
# Nobody reads more on a terminal; and half a second goes into making so much of it harmless.
_SHOWN_AT_MOST = 2 * 1024 * 1024
# Characters: enough to tell a mail by.
_LINE = 200


def in_a_line(mail: StoredMail) -> str:
    """What `list` says of a message: number, delivery id, when it was received, sender, subject."""
    received = mail.received[:19].replace("T", " ") or mail.date[:19]
    cells = (str(mail.number), mail.id or "(no id)", received, mail.sender_field or mail.sender or "<>")
    columns = [harmless_line(cell)[:width].ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    return "  ".join([*columns, harmless_line(mail.subject)]).rstrip()


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


def there_is(folder: Path, address: str, seen: Seen) -> str:
    """What was in the mailbox instead, in words for whoever waited in vain."""
    try:
        with open_mailbox(folder, address, until=0):
            pass
    except MailboxError as error:
        return error.message
    if not seen.count:
        return "The mailbox is empty."
    last = (f"{mail.id or '(no id)'}  {mail.sender_field or mail.sender}  {mail.subject}" for mail in seen.last)
    only = f", the last {len(seen.last)} of them" if seen.count > len(seen.last) else ""
    lines = [
        f"The mailbox has {counted(seen.count, 'message')}{only}:",
        *(harmless_line(line)[:_LINE] for line in last),
    ]
    if seen.unsearched:
        lines.append(f"(for {counted(seen.unsearched, 'subject')} searching for the pattern took too long)")
    return "\n  ".join(lines)
