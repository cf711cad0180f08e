"""`correio send`: one mail without typing SMTP; session/composing.py makes it, session/delivery.py sends it.

Gives: `command`. Standard output gets the server's reply to the end of data, which has the delivery id.
Fails: with the exit statuses that its help lists; a bad address or message is a usage error.
Limits: an input that cannot be read twice is copied to a temporary file first.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from email.utils import parseaddr
from typing import BinaryIO, cast

import click

from ..options import server_options
from ..run_folder import Server
from ..session.composing import PIECE, Fields, MessageError, NamedAddress
from ..session.connection import connect
from ..session.delivery import Envelope, deliver
from ..session.smtp import ServerReply
from ..terminal import harmless_text

# An input that cannot be read twice is kept in memory up to this size, else in a temporary file.
_SPOOL_IN_MEMORY = 1024 * 1024


class InputError(click.ClickException):
    """The message cannot be read."""

    exit_code = 2


@click.command(
    name="send",
    epilog="Exit status: 0 the server has the mail in safety (250), 1 the server refused it, with 4xx or "
    "5xx, or cannot take it, 2 wrong usage, 3 nobody listens or the connection was lost.",
)
@server_options
@click.option(
    "--from", "sender", required=True, metavar="ADDRESS", help="The sender; '<>' for none (RFC 5321 4.5.5)."
)
@click.option("--to", "recipients", required=True, multiple=True, metavar="ADDRESS", help="A recipient; repeatable.")
@click.option("--subject", metavar="TEXT", help="The Subject field.")
@click.option("--header", "extra", multiple=True, metavar="'NAME: VALUE'", help="A further field; repeatable.")
@click.option("--helo", default="", metavar="NAME", help="The name to give in EHLO. [this end's address]")
@click.option("-v", "--verbose", is_flag=True, help="Show the dialogue on standard error.")
@click.argument("file", type=click.File("rb"), default="-")
def command(
    *,
    server: Server,
    sender: str,
    recipients: tuple[str, ...],
    subject: str | None,
    extra: tuple[str, ...],
    helo: str,
    verbose: bool,
    file: BinaryIO,
) -> None:
    """Send one mail, read from FILE or from standard input.

    The input is a text, or a message with its own header, which is kept but for Bcc; Date, From, To and Message-ID
    are added where they are missing. Text that is not ASCII is sent as UTF-8. An ADDRESS may have a name:
    'Ana <ana@example.org>'. If the server refuses one recipient, nothing is sent to any.

    \b
    Examples:
      $ echo 'See you at 8' | correio send --from maria@example.com --to joao@example.com --subject Dinner
      $ correio send --from maria@example.com --to joao@example.com --to ana@example.org letter.txt
      $ correio send -v --header 'X-Course: networks' --from '<>' --to joao@example.com < message.eml
    """
    author, addressees = _mailbox(sender, "--from"), tuple(_mailbox(to, "--to") for to in recipients)
    envelope = Envelope(author.address, tuple(to.address for to in addressees), _plain(helo, "--helo"))
    if not author.address:
        # Mail without a return address comes from the mail system itself; From: has to name somebody all the same.
        author = NamedAddress("", f"MAILER-DAEMON@{helo or 'localhost'}")
    fields = Fields(author, addressees, subject, extra)
    with _seekable(file) as message:
        try:
            reply = asyncio.run(_send(server, envelope, message, fields, verbose))
        except MessageError as error:
            raise click.UsageError(str(error)) from None
    click.echo(harmless_text(str(reply)))


async def _send(server: Server, envelope: Envelope, message: BinaryIO, fields: Fields, verbose: bool) -> ServerReply:
    connection = connect(server.host, server.port)
    try:
        return await deliver(connection, envelope, message, fields, _on_stderr if verbose else _nowhere)
    finally:
        connection.close()


def _on_stderr(line: str) -> None:
    click.echo(line, err=True)


def _nowhere(line: str) -> None:
    del line


def _plain(text: str, option: str) -> str:
    """Text that can be part of a command: whether the server likes it is for the server to say."""
    if any(ord(character) < 32 or ord(character) == 127 or 0xD800 <= ord(character) < 0xE000 for character in text):
        raise click.BadParameter(
            "control characters and octets that are not text have no place here", param_hint=option
        )
    return text


def _mailbox(text: str, option: str) -> NamedAddress:
    """An address with or without a name and angle brackets."""
    given = _plain(text.strip(), option)
    if given == "<>" and option == "--from":
        return NamedAddress("", "")
    if given.endswith(">") and not given.startswith("<"):
        return NamedAddress(*parseaddr(given))
    address = given[1:-1] if given.startswith("<") and given.endswith(">") else given
    if not address:
        raise click.BadParameter("an address is needed, such as ana@example.org", param_hint=option)
    return NamedAddress("", address)


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """The input itself if it is a file on disk, else a copy of it; text in UTF-16 as UTF-8."""
    if file.isatty():
        click.echo("Type the message; Ctrl-D on a line of its own ends it.", err=True)
    with _spooled() as copy, _spooled() as utf8:
        try:
            found = file
            if not _is_on_disk(file):
                shutil.copyfileobj(file, copy)
                found = copy
            if _is_utf16(found) and _to_utf8(found, utf8):
                found = utf8
        except OSError as error:
            raise InputError(
                f"The message cannot be read, or not be kept until it is sent: {error.strerror}"
            ) from None
        yield found


def _spooled() -> AbstractContextManager[BinaryIO]:
    return cast(AbstractContextManager[BinaryIO], tempfile.SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY))


def _is_utf16(file: BinaryIO) -> bool:
    """Whether it begins as what PowerShell's > and Notepad write."""
    file.seek(0)
    return file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _to_utf8(file: BinaryIO, copy: BinaryIO) -> bool:
    """Copy a text in UTF-16; false if it is none, and only begins so."""
    file.seek(0)
    try:
        for text in codecs.iterdecode(iter(lambda: file.read(PIECE), b""), "utf-16"):
            copy.write(text.encode())
    except UnicodeError:
        return False
    return True


def _is_on_disk(file: BinaryIO) -> bool:
    """Whether the whole of it, and nothing before it, can be read again."""
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.tell() == 0
    except OSError:  # no descriptor: a file in memory
        return False
