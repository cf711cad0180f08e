"""Mailboxes of recipients that no line of the users file takes: with UNKNOWN=create each gets one of its own.

A development server's wish: whatever address a program under test writes to, of any domain, has a mailbox, named as a
user's would be; `user+tag@domain` is that of `user@domain`. It is made when it is first written to, and looked up
before, by RCPT and VRFY, nothing is made. A start finds those of earlier runs in the folder.

Gives: `Unlisted`. Fails: with outcomes; a folder that cannot be listed counts as it was.
Limits: MOST of them, which the folder's files count; users' own do not. A name that cannot be a file's is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from mail.address import AddressError, parse
from mailbox_store.mailboxes.files import Files
from mailbox_store.users.users import UsersSource, own_mailbox
from wire.outcomes import DISK_FULL, Failed, Found, NoSuchUser

log = logging.getLogger(__name__)

# Addresses of many runs of tests. A flood of them must not fill the folder, which a person lists, without end.
MOST = 10_000
# Where there are so many, the folder is looked at again for those that were removed, but no more often.
_LOOK_SECONDS = 1.0


class Unlisted:
    """What is made, and what may be made."""

    def __init__(self, files: Files, users: UsersSource, monotonic: Callable[[], float], most: int = MOST) -> None:
        """:raises OSError: where the folder cannot be listed."""
        self._files = files
        self._users = users
        self._monotonic = monotonic
        self._most = most
        self._made = self._there()
        self._looked = monotonic()

    def lookup(self, local: str, domain: str) -> Found | NoSuchUser | Failed:
        """The mailbox of an address that the list of users does not take.

        :param local: without quotes.
        :param domain: not empty.
        """
        try:
            mailbox = own_mailbox(local, domain)
        except AddressError as error:
            return NoSuchUser(str(error))
        if self.is_made(mailbox) or self._has_room(1):
            return Found(mailbox)
        return Failed(DISK_FULL, f"UNKNOWN=create makes {self._most} mailboxes at most, and there are so many")

    def is_made(self, mailbox: str) -> bool:
        """Is it there? One that is not must not be opened before there is mail for it."""
        return mailbox in self._made or self._users.knows(mailbox)

    def takes(self, mailbox: str) -> bool:
        """Is it one that a look-up gives?"""
        return mailbox in self._made or _is_own(mailbox)

    def may_make(self, mailboxes: Collection[str]) -> bool:
        """Can all these be there together?"""
        new = {mailbox for mailbox in mailboxes if mailbox not in self._made}
        return all(map(_is_own, new)) and (not new or self._has_room(len(new)))

    def made(self, mailboxes: Collection[str]) -> None:
        """These are there from now on."""
        self._made.update(mailboxes)

    def _has_room(self, count: int) -> bool:
        if len(self._made) + count > self._most and self._monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = self._monotonic()
            try:
                self._made = self._there()
            except OSError as error:
                log.warning("! the mailbox folder cannot be listed: %s", error)
        return len(self._made) + count <= self._most

    def _there(self) -> set[str]:
        return {name for name in self._files.names() if not self._users.knows(name) and _is_own(name)}


def _is_own(name: str) -> bool:
    try:
        address = parse(name)
        return own_mailbox(address.local, address.domain) == name
    except AddressError:
        return False
