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
from collections.abc import Iterator

import pytest

from .mail.view import StoredMail
from .stack.owned_stack import StackError
from .testing.fixture import Mail, MailTimeout, NoMailbox
from .testing.private_stack import PrivateStack

__all__ = ["Mail", "MailTimeout", "NoMailbox", "StoredMail"]

USERS = ["ana@example.com", "bruno@example.com", "carla@example.com"]
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
