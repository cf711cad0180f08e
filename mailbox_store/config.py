"""The store's settings, read from the environment once at start."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from mail.address import AddressError, parse_domain
from runtime.settings import Settings


class ConfigError(Exception):
    """A setting, or a file that it names, cannot be used; the text is the one line that a person needs."""


class StoreSettings(Settings):
    """USERS, MAILBOXES, MAILBOX_MODE, JOURNAL, DOMAIN, POSTMASTER, UNKNOWN, STORE_ENDPOINT and CONVERSATION."""

    # An address a line; each has a mailbox.
    users: str = "users.txt"
    # The folder of the mailbox files; made if only it is missing.
    mailboxes: str = "mailboxes"
    # The permissions of a mailbox file that is made here: its owner's alone, or to be read by its group.
    mailbox_mode: Literal["0600", "0640"] = "0600"
    # The journal's file; SQLite keeps two more beside it, and a lock file.
    journal: str = "run/journal.sqlite3"
    # Mail to postmaster@DOMAIN is taken even where no user has that domain.
    domain: str = "correio.localhost"
    # A user who gets what is sent to postmaster; empty: the first user.
    postmaster: str = ""
    # Whether a recipient that no line of USERS takes gets a mailbox of its own.
    unknown: Literal["off", "create"] = "off"
    store_endpoint: str = "tcp://127.0.0.1:12002"
    # Whether each delivery is told on the log.
    conversation: Literal["on", "off"] = "on"

    @field_validator("domain")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        try:
            return parse_domain(value)
        except AddressError as error:
            raise ValueError(str(error)) from None

    @field_validator("store_endpoint")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        if not value.startswith(("tcp://", "ipc://")):
            raise ValueError("an endpoint is tcp://ADDRESS:PORT or ipc://PATH")
        return value
