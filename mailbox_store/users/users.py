"""Who has a mailbox here: the users file's text, and the look-up of an address. Pure.

The file has an entry (`mail/users.py`) a line; `#` starts a comment, blank lines and blanks around an entry do not
count.

Fails: `UsersError` for the first line that breaks a rule, naming the file, the line and the rule.
Limits: a look-up is a few dictionary look-ups, however many users there are.
"""

from __future__ import annotations

from typing import Protocol

from mail.address import AddressError, folded, without_tag
from mail.users import CATCH_ALL, EVERYTHING, file_name, parse_entry
from wire.outcomes import Found, NoSuchUser, NotOurDomain
from wire.records import Record

_BOM = "\ufeff"


class UsersError(ValueError):
    """The users file cannot be used; the text is `file:line: rule`."""


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


def parse_users(data: bytes, file: str, home: str, postmaster: str = "") -> Users:
    """Read the users file's octets.

    :param file: its name, for errors.
    :param home: the server's own domain.
    :param postmaster: the address, one of the file's, that gets mail for an unlisted postmaster; empty: the first.
    :raises UsersError: and nothing else, whatever the octets are.
    """
    lines: dict[str, int] = {}
    domains: set[str] = set()
    by_local: dict[str, str | None] = {}
    first = ""
    for number, line in enumerate(data.split(b"\n"), start=1):
        entry = _entry(line, number, file)
        if not entry:
            continue
        try:
            address, mailbox = parse_entry(entry)
            file_name(mailbox)
        except AddressError as error:
            raise UsersError(f"{file}:{number}: {entry}: {error}") from None
        if mailbox in lines:
            raise UsersError(f"{file}:{number}: {entry}: the same mailbox as on line {lines[mailbox]}")
        lines[mailbox] = number
        if address.domain:
            domains.add(address.domain.casefold())
        if address.local:
            first = first or mailbox
            local = address.local.casefold()
            by_local[local] = None if local in by_local else mailbox
    if not lines:
        raise UsersError(f"{file}: there is no user in it; write an address on each line")
    mailboxes = tuple(lines)
    return Users(
        mailboxes,
        frozenset(domains),
        by_local,
        _postmaster(postmaster, lines, file) or first or mailboxes[0],
        home.casefold(),
        frozenset(mailboxes),
    )


def _entry(line: bytes, number: int, file: str) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise UsersError(f"{file}:{number}: the line is not UTF-8 text") from None
    text = (text.removeprefix(_BOM) if number == 1 else text).strip()
    return "" if text.startswith("#") else text


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


def _postmaster(setting: str, lines: dict[str, int], file: str) -> str:
    if not setting:
        return ""
    try:
        mailbox = parse_entry(setting)[1]
    except AddressError as error:
        raise UsersError(f"POSTMASTER={setting}: {error}") from None
    if mailbox not in lines:
        raise UsersError(f"POSTMASTER={setting}: there is no such user in {file}")
    return mailbox


class UsersSource(Protocol):
    """Where the list of users comes from, which may change at any time."""

    @property
    def current(self) -> Users: ...

    def knows(self, mailbox: str) -> bool:
        """Is there such a mailbox, or was there since the start?"""
        ...
