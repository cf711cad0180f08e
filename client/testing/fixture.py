"""What the fixture `mail` gives a test: a server of its own, and what is in its mailboxes.

Gives: `Mail`, which that fixture is; `users` and `add_user`, who is in the users file of the server, and one
address more. What an entry of it is, and which ones the store refuses, is said in `mail/users.py`.
Fails: `NoMailbox` and `MailTimeout` fail the test that asked; `add_user` with `AddressError` for what the store would
refuse, for then it keeps the whole list as it was.
Limits: two processes must not add to one users file at the same time.
"""

from __future__ import annotations

import re
import smtplib
import time
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

from ..mail.address import AddressError
from ..mail.ids import told_in
from ..mail.users import file_name, parse_entry, without_comment
from ..mail.view import StoredMail
from ..mailbox.files import file_names
from ..mailbox.showing import there_is
from ..mailbox.waiting import Seen, WantedMail, all_mail, wait_for
from ..stack.status import takes_mail
from .private_stack import PrivateStack

# A test's own server answers in milliseconds; what takes longer is the program that sends.
_TIMEOUT = 5.0
_RELOAD_SECONDS = 5.0
_LOOK = 0.02


class MailTimeout(AssertionError):
    """The mail that a test waited for did not come; the text says what is in the mailbox instead."""


class NoMailbox(AssertionError):
    """A test asked for the mail of an address that has no mailbox; an empty list would hide a spelling mistake."""


class Mail:
    """A server and its mailboxes, for one test."""

    def __init__(self, stack: PrivateStack) -> None:
        self.host = stack.host
        self.port = stack.port
        self.mailboxes = stack.mailboxes
        self._stack = stack

    def send(
        self,
        *,
        to: str | list[str],
        sender: str = "sender@example.net",
        subject: str = "",
        text: str = "",
        message: EmailMessage | bytes | None = None,
    ) -> str:
        """Send a mail to this server.

        :param message: the whole message instead of `subject` and `text`.
        :returns: the delivery id.
        :raises smtplib.SMTPException: the server refused it, or closed the connection.
        """
        recipients = [to] if isinstance(to, str) else to
        if message is None:
            message = _message(sender, recipients, subject, text)
        octets = message if isinstance(message, bytes) else message.as_bytes()
        # RFC 5321 section 2.3.8: a client sends CR and LF together or not at all.
        octets = re.sub(rb"\r?\n", b"\r\n", octets)
        with smtplib.SMTP(self.host, self.port, "localhost", 60) as session:
            session.ehlo()
            _expect(session.mail(sender), smtplib.SMTPSenderRefused, sender)
            refused = {each: reply for each in recipients if (reply := session.rcpt(each))[0] not in (250, 251)}
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)
            code, said = session.data(octets)
            if code != 250:
                raise smtplib.SMTPDataError(code, said)
        return told_in(said.decode())

    def wait(
        self,
        *,
        to: str,
        subject: str | re.Pattern[str] = "",
        sender: str = "",
        after: str | StoredMail = "",
        timeout: float = _TIMEOUT,
    ) -> StoredMail:
        """The first such mail; one that is in the mailbox already counts too.

        :param subject: a regular expression that is found in the subject.
        :param sender: the address in From: or of the envelope.
        :param after: only mail behind this one (or its delivery id).
        :param timeout: seconds.
        :raises MailTimeout: it did not come in time.
        :raises NoMailbox: at once, for no mailbox takes such mail.
        """
        __tracebackhide__ = True
        self._check(to)
        wanted = WantedMail(
            re.compile(subject) if subject else None, sender, after.id if isinstance(after, StoredMail) else after
        )
        seen = Seen()
        mail = wait_for(self.mailboxes, to, wanted, timeout, seen)
        if mail is None:
            raise MailTimeout(f"no such mail for {to} within {timeout:g} s. {there_is(self.mailboxes, to, seen)}")
        return mail

    def mailbox(self, address: str) -> list[StoredMail]:
        """All mail to an address, oldest first.

        :raises NoMailbox: no mailbox takes such mail.
        """
        __tracebackhide__ = True
        self._check(address)
        return list(all_mail(self.mailboxes, address))

    def add_user(self, address: str) -> None:
        """Give an address a mailbox, unless it has one; returns when the server takes mail for it.

        :raises NoMailbox: it can have none; nothing has changed.
        :raises MailTimeout: the server does not take mail for it.
        """
        __tracebackhide__ = True
        try:
            add_user(self._stack.users_file, address)
        except AddressError as error:
            raise NoMailbox(f"{address!r} can have no mailbox: {error}") from None
        deadline = time.monotonic() + _RELOAD_SECONDS
        # The file first: mail for an address may be taken by a catch-all before.
        while not ((self.mailboxes / file_names(address)[0]).exists() and takes_mail(self.host, self.port, address)):
            if time.monotonic() > deadline:
                raise MailTimeout(f"the server takes no mail for {address} after {_RELOAD_SECONDS:g} s")
            time.sleep(_LOOK)

    @property
    def conversations(self) -> str:
        """The server's log: each line of each conversation."""
        return self._stack.log("gateway")

    def _check(self, address: str) -> None:
        """:raises NoMailbox: no mailbox takes mail for the address: a spelling mistake, and no empty mailbox."""
        __tracebackhide__ = True
        if self._stack.takes_unknown:
            return
        known = users(self._stack.users_file)
        if not any(name in known for name in file_names(address)):
            raise NoMailbox(f"{address} is no user of this server; these are: {', '.join(known.values())}")


def users(path: Path) -> dict[str, str]:
    """The entries of a users file, each with the name of its mailbox's file before it."""
    lines = path.read_text("utf-8-sig").split("\n")
    entries = [without_comment(line.strip()) for line in lines if not line.strip().startswith("#")]
    return {file_name(parse_entry(entry)[1]): entry for entry in entries if entry}


def add_user(path: Path, address: str) -> None:
    """Add an address to a users file, unless its mailbox is that of an entry already.

    :raises AddressError: it is no address that can have a mailbox; the file is as it was.
    """
    if address.startswith("#"):
        raise AddressError("in the users file # begins a comment")
    if file_name(parse_entry(address)[1]) in users(path):
        return
    octets = path.read_bytes()
    if octets and not octets.endswith(b"\n"):
        octets += b"\n"
    # Renamed into place: the store never reads half of it.
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(octets + f"{address}\n".encode())
    beside.replace(path)


def _message(sender: str, recipients: list[str], subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender or "MAILER-DAEMON@localhost"
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="localhost")
    message.set_content(text)
    return message


def _expect(reply: tuple[int, bytes], refusal: type[smtplib.SMTPSenderRefused], sender: str) -> None:
    if reply[0] != 250:
        raise refusal(*reply, sender)
