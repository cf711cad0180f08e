"""`correio read`: the messages of a mailbox, as text for a person.

Gives: `command`, and `render`, one message as text: number, sender, date, subject, delivery id, and what it says.
Fails: `mbox.MailboxError`. A message is shown whatever is wrong with it: headers and text that cannot be decoded
appear as they are, with signs in place of what no terminal should get.
Limits: one message is in memory at a time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path

import click

from .mbox import Entry, MailboxFile, entries, open_mailbox
from .terminal import harmless_line, harmless_text

# RFC 5321 section 4.4: ID = CFWS "ID" FWS ( Atom / msg-id ), in the first Received: field the one of our server.
_DELIVERY_ID = re.compile(r"\sid\s+<?([^\s;>]+)", re.IGNORECASE)
_RULE = "-" * 72
_PIECE = 64 * 1024


def render(number: int, entry: Entry) -> str:
    """One message as text that is safe for a terminal.

    :param number: its place in the mailbox, counted from 1.
    """
    message = message_from_bytes(entry.content)
    sender, _, received = entry.from_line.decode("utf-8", "replace").removeprefix("From ").partition(" ")
    summary = {
        "From": _field(message, "From") or sender or "(nobody)",
        "Date": _field(message, "Date") or received.strip() or "(none)",
        "Subject": _field(message, "Subject") or "(none)",
        "Id": _delivery_id(message) or "(none)",
    }
    lines = [f"Message {number}", *(f"{name}: {harmless_line(value)}" for name, value in summary.items())]
    text = harmless_text("\n".join(_texts(message))).rstrip("\n")
    return "\n".join([*lines, "", *([text, ""] if text else [])])


def _field(message: Message, name: str) -> str:
    """A header field, unfolded and decoded; "" where there is none."""
    for given, value in message.raw_items():
        if given.lower() == name.lower():
            # Octets over 127 stand in a message as surrogates; in a header they are UTF-8 (RFC 6532).
            octets = str(value).encode("utf-8", "surrogateescape")
            return _decoded(re.sub(r"\r?\n(?=[ \t])", "", octets.decode("utf-8", "replace"))).strip()
    return ""


def _decoded(value: str) -> str:
    """The encoded words of a field in plain (RFC 2047), or the field as it is where they are not valid."""
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, ValueError, LookupError):
        return value


def _delivery_id(message: Message) -> str:
    found = _DELIVERY_ID.search(_field(message, "Received"))
    return found[1] if found else ""


def _texts(message: Message) -> Iterator[str]:
    """What the message says: its plain text, or any text where there is no plain one; other parts are named."""
    parts = [part for part in message.walk() if not part.is_multipart()]
    plain = any(_is_text(part, "plain") for part in parts)
    for part in parts:
        if _is_text(part, "plain") or (not plain and _is_text(part)):
            yield _text(part)
        else:
            yield f"[{part.get_content_type()}, {len(_octets(part))} octets{_named(part)}]"


def _is_text(part: Message, subtype: str = "") -> bool:
    if part.get_content_disposition() == "attachment":
        return False
    return part.get_content_maintype() == "text" and subtype in ("", part.get_content_subtype())


def _octets(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    charset = part.get_content_charset("utf-8")
    # ASCII is a subset of UTF-8, and text that says nothing of its charset is UTF-8 more often than not.
    if charset in ("us-ascii", "ascii"):
        charset = "utf-8"
    octets = _octets(part)
    try:
        text = octets.decode(charset, "replace")
    except (LookupError, ValueError):
        text = octets.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _named(part: Message) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError):
        return ""
    return f", {_decoded(name)}" if name else ""


@click.command(name="read", epilog="Exit status: 0 the mailbox was shown, 1 it cannot be read, 2 wrong usage.")
@click.argument("address")
@click.option(
    "--mailboxes",
    envvar="MAILBOXES",
    default="mailboxes",
    type=click.Path(path_type=Path),
    help="The folder of the mailbox files. [env MAILBOXES, else ./mailboxes]",
)
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
        number = 0
        for number, entry in enumerate(entries(mailbox.lines()), 1):
            if number > 1:
                click.echo(_RULE)
            click.echo(render(number, entry))
        if not number:
            click.echo(f"No mail for {address}.")


def _copy(mailbox: MailboxFile) -> None:
    left = mailbox.size
    while left and (octets := mailbox.file.read(min(left, _PIECE))):
        sys.stdout.buffer.write(octets)
        left -= len(octets)
