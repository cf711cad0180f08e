"""The store's word on addresses and mailboxes: whose mailbox an address is, and whether mailboxes can be written.

Each outcome says for how long it may be used again. An edited list of users is read within two looks at it
(`users_file.py`), so it takes effect within a second. The store looks at a mailbox each time that a worker asks about
it, which takes two system calls and opens nothing. The worker remembers the answer as long as it holds.

With UNKNOWN=create a recipient that no line of the users file takes gets a mailbox of its own. This is for
development servers: every address of any domain that a program under test writes to has a mailbox, named as a user's
would be; `user+tag@domain` has that of `user@domain`. The mailbox is made when it is first written to. A look-up for
RCPT or VRFY makes nothing. At a start the store finds the mailboxes of earlier runs in the folder.

Gives: `Directory`, which answers; `Users`, one reading of the users file; `Unlisted`, for UNKNOWN=create.
Fails: with outcomes. The log names a mailbox that cannot be written, once. If the folder cannot be listed, its last
count stays.
Limits: a look-up is a few dictionary look-ups, however many users there are. There are MOST unlisted mailboxes, which
the folder's files count; users' own do not. A name that cannot be a file's is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from mail.address import AddressError, folded, parse, without_tag
from mail.users import CATCH_ALL, EVERYTHING, file_name
from mailbox_store.mailboxes.files import Files
from mailbox_store.metrics import UNWRITABLE, Totals
from wire.messages import Check, Lookup
from wire.outcomes import DISK_FULL, Failed, Found, NoSuchUser, NotOurDomain, Said, Unwritable, Writable
from wire.records import Record

log = logging.getLogger(__name__)

# For how long it may be said again, in ms: whose mailbox an address is, and that a mailbox can be written.
ADDRESS_HOLDS = 300
WRITABLE_HOLDS = 250
# Addresses of many runs of tests. A flood of them must not fill the folder, which a person lists, without end.
MOST = 10_000
# Where there are so many, the folder is looked at again for those that were removed, but no more often.
_LOOK_SECONDS = 1.0


class Users(Record):
    """One reading of the users file, as the dictionaries that a look-up needs."""

    # Every mailbox in the order of the file, catch-alls included.
    mailboxes: tuple[str, ...]
    domains: frozenset[str]
    # The local part, case folded, to its one mailbox, or to None where several domains have it.
    locals: dict[str, str | None]
    # Who gets mail for a postmaster that is not listed.
    postmaster: str
    # The server's own domain, which may have no users.
    home: str
    # The mailboxes again, for look-ups.
    names: frozenset[str]

    def lookup(self, local: str, domain: str) -> Found | NoSuchUser | NotOurDomain:
        """The mailbox of an address: the address itself, it without its `+tag`, the domain's catch-all, that of all.

        :param local: the local part without quotes.
        :param domain: in lower case; empty to ask for a local part alone, as VRFY and `RCPT TO:<postmaster>` do.
        """
        if not domain:
            return self._lookup_local(local)
        domain = domain.casefold()
        for name in dict.fromkeys((local, without_tag(local))):
            mailbox = folded(name, domain)
            if mailbox in self.names:
                return Found(mailbox)
        ours = domain in self.domains
        # RFC 5321 section 4.5.1: postmaster is always taken, in any letter case.
        if local.casefold() == "postmaster" and (ours or domain == self.home):
            return Found(self.postmaster)
        catch_all = CATCH_ALL + domain
        if catch_all in self.names:
            return Found(catch_all)
        if EVERYTHING in self.names:
            return Found(EVERYTHING)
        return NoSuchUser() if ours else NotOurDomain()

    def _lookup_local(self, local: str) -> Found | NoSuchUser:
        name = local.casefold()
        if name == "postmaster":
            at_home = folded(local, self.home)
            return Found(at_home if at_home in self.names else self.locals.get(name) or self.postmaster)
        mailbox = self.locals.get(name)
        return Found(mailbox) if mailbox else NoSuchUser()


class UsersSource(Protocol):
    """Where the list of users comes from, which may change at any time."""

    @property
    def current(self) -> Users: ...

    def knows(self, mailbox: str) -> bool:
        """Is there such a mailbox, or was there since the start?"""
        ...


class Directory:
    """Over the list of users and the mailboxes as they are now."""

    def __init__(
        self,
        files: Files,
        users: UsersSource,
        totals: Totals,
        unlisted: Unlisted | None = None,
    ) -> None:
        """:param unlisted: mailboxes of those who are no users; None: they have none."""
        self._files = files
        self._users = users
        self._totals = totals
        self._unlisted = unlisted
        # Those of which it was told that they cannot be written.
        self._unwritable: set[str] = set()

    @property
    def users(self) -> int:
        """How many mailboxes the list of users has."""
        return len(self._users.current.mailboxes)

    def answer(self, question: Lookup | Check) -> Said:
        if isinstance(question, Lookup):
            return self._lookup(question.local, question.domain)
        holds = WRITABLE_HOLDS
        for mailbox in question.mailboxes:
            why, lasts = self._look(mailbox)
            if why:
                self._totals.refused[UNWRITABLE] += 1
                return Unwritable(mailbox, why)
            holds = min(holds, lasts)
        return Writable(holds=holds)

    def _lookup(self, local: str, domain: str) -> Said:
        outcome: Said = self._users.current.lookup(local, domain)
        if self._unlisted is not None and domain and not isinstance(outcome, Found):
            outcome = self._unlisted.lookup(local, domain)
        if not isinstance(outcome, Found):
            return outcome
        # A local part alone is asked anew each time: by that, probes ask whether the store answers now.
        holds = ADDRESS_HOLDS if domain else 0
        _, writable_for = self._look(outcome.mailbox)
        return Found(outcome.mailbox, holds=holds, writable_for=writable_for)

    def _look(self, mailbox: str) -> tuple[str, int]:
        """Why a mailbox cannot be written now, "" where it can, and for how long that holds, in ms."""
        unlisted = self._unlisted
        is_made = mailbox in self._users.current.names or (
            self._users.knows(mailbox) if unlisted is None else unlisted.is_made(mailbox)
        )
        if not is_made and (unlisted is None or not unlisted.takes(mailbox)):
            return "no such mailbox", 0
        try:
            self._files.look(mailbox, make=is_made)
        except OSError as error:
            why = reason(error)
            # Once, not for each client that tries again.
            if mailbox not in self._unwritable:
                self._unwritable.add(mailbox)
                log.error("! %s cannot be written, mail for it is refused: %s", mailbox, why)  # noqa: TRY400
            return why, 0
        if self._unwritable and mailbox in self._unwritable:
            self._unwritable.remove(mailbox)
            log.info("= %s can be written again", mailbox)
        # Of one that is to be made nobody can tell but by making it.
        return "", WRITABLE_HOLDS if is_made else 0

    def unlisted(self, mailboxes: Iterable[str]) -> list[str]:
        """Those that are no users'."""
        named, others = self._users.current.names, []
        for mailbox in mailboxes:
            if mailbox not in named and not self._users.knows(mailbox):
                others.append(mailbox)
        return others

    def may_make(self, unlisted: Collection[str]) -> bool:
        """Can all these be there together?"""
        return self._unlisted is not None and self._unlisted.may_make(unlisted)

    def made(self, unlisted: Iterable[str]) -> None:
        """These have a file now."""
        if self._unlisted is not None:
            self._unlisted.made(unlisted)


def reason(error: OSError) -> str:
    """What a person is told of an error."""
    return error.strerror or str(error)


class Unlisted:
    """Mailboxes of those who are no users: what is made, and what may be made."""

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

    def made(self, mailboxes: Iterable[str]) -> None:
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


def own_mailbox(local: str, domain: str) -> str:
    """The mailbox that an address would have if it were a user's, who gets what comes with a `+tag` as well.

    :param local: without quotes.
    :raises AddressError: it can have none.
    """
    if local == "*":
        raise AddressError("a mailbox of that name takes what others do not, and only the users file makes one")
    mailbox = folded(without_tag(local), domain)
    file_name(mailbox)
    return mailbox
