"""The pytest plugin: a test that asks for `mail` has a server of its own.

    def test_the_welcome_mail(mail):
        register("ana@example.com", smtp=(mail.host, mail.port))
        assert "Welcome" in mail.wait(to="ana@example.com").subject

Fixtures: `mail`, a `Mail`, its mailboxes empty at the start of the test; `mail_users`, the addresses that have a
mailbox (session-wide; override it, or set the ini option of that name). The server starts with the first test that
asks for it and ends with the run; under pytest-xdist each worker has its own. Failures on cue are on (docs/ci.md).
Ini options: `mail_users`, addresses; `mail_settings`, lines NAME=value for the services.
Fails: a test errors, with what to do, where the server cannot be started. It needs the extra `stack`:
`pip install '.[stack]'` in the checkout.
"""

from __future__ import annotations

import os
import re
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import pytest

from .mail.address import AddressError
from .mail.view import StoredMail
from .mailbox.files import file_names
from .mailbox.showing import there_is
from .mailbox.waiting import Seen, WantedMail, all_mail, wait_for
from .stack.owned_stack import StackError
from .stack.probe import takes_mail
from .testing.mail import add_user, users
from .testing.private_stack import PrivateStack

__all__ = ["Mail", "MailTimeout", "NoMailbox", "StoredMail"]

USERS = ["ana@example.com", "bruno@example.com", "carla@example.com"]
# A test's own server answers in milliseconds; what takes longer is the program that sends.
_TIMEOUT = 5.0
_RELOAD_SECONDS = 5.0
# Settings that are not for tests to choose: each run has a server of its own.
_ITS_OWN = "the server of a test run has its own"
_OF_THE_SERVER = {
    "MODE": "the server of a test run is processes",
    "RUN": _ITS_OWN,
    "MAILBOXES": f"{_ITS_OWN}; mail.mailbox(address) has what is in them",
    "BIND": f"{_ITS_OWN}: mail.host",
    "PORT": f"{_ITS_OWN}: mail.port",
    "USERS": f"{_ITS_OWN}: the ini option mail_users, or the fixture of that name",
}
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
        return said.decode().rpartition(" ")[2]

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("mail_users", "addresses that have a mailbox on the server of the fixture mail", "linelist", USERS)
    parser.addini("mail_settings", "lines NAME=value: settings of the server of the fixture mail", "linelist", [])


@pytest.fixture(scope="session")
def mail_users(pytestconfig: pytest.Config) -> list[str]:
    """The addresses that have a mailbox: the ini option of this name. Override it to give others."""
    return list(pytestconfig.getini("mail_users"))


@pytest.fixture(scope="session")
def mail_server(mail_users: list[str], pytestconfig: pytest.Config) -> Iterator[PrivateStack]:
    """The server itself, for the whole run; tests want `mail`."""
    failure = ""
    try:
        with PrivateStack(mail_users, _settings(pytestconfig.getini("mail_settings"))) as stack:
            yield stack
    except StackError as error:
        failure = str(error)
    if failure:  # not in the handler: pytest would print what was handled as well, the same text twice
        pytest.fail(f"correio: the mail server of this test run cannot be started: {failure}", pytrace=False)


@pytest.fixture
def mail(mail_server: PrivateStack) -> Mail:
    """A mail server on a free port of 127.0.0.1, its mailboxes empty."""
    for mailbox in mail_server.mailboxes.glob("*.txt"):
        # The mailboxes belong to their readers: the server respects it.
        os.truncate(mailbox, 0)
    return Mail(mail_server)


def _settings(lines: list[str]) -> dict[str, str]:
    """What the ini option mail_settings says; that a name is a setting and its value right is `make up`'s to judge.

    :raises StackError: a line has another form, or is about what the private server has of its own.
    """
    settings = {"FAULTS": "on"}
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise StackError(f"mail_settings: {line!r} is not NAME=value")
        if name in _OF_THE_SERVER:
            raise StackError(f"mail_settings: {name}: {_OF_THE_SERVER[name]}")
        settings[name] = value
    return settings


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
