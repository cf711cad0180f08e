"""The users file's text becomes the list of users. Pure.

The file has an entry (`mail/users.py`) a line; `#` starts a comment, blank lines and blanks around an entry do not
count.

Fails: `UsersError` for the first line that breaks a rule, naming the file, the line and the rule.
"""

from __future__ import annotations

from mail.address import AddressError
from mail.users import file_name, parse_entry
from mailbox_store.users.directory import Users

_BOM = "\ufeff"


class UsersError(ValueError):
    """The users file cannot be used; the text is `file:line: rule`."""


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
