"""Users and their mailboxes: what an entry of a users file says, and what mailboxes and their files are called.

An entry is an address, or a catch-all: `*@domain` takes what no other entry of that domain does, and `*@*` what no
entry at all does. A mailbox is named by its address with letter case folded, and its file is that name and `.txt`.

Fails: with `AddressError`, which says the rule that is broken.
"""

from __future__ import annotations

import re

from .address import Address, AddressError, fold, folded, parse, parse_domain, without_tag

SUFFIX = ".txt"
CATCH_ALL = "*@"
EVERYTHING = "*@*"
# NAME_MAX of Linux file systems, in octets.
MAX_FILE_NAME = 255
_TRAILING_COMMENT = re.compile(r"\s#.*$")


def without_comment(entry: str) -> str:
    """An entry, which has no blanks around it, without the comment behind it."""
    # A local part may hold a #, so only what is no address is looked at for a comment.
    try:
        parse(entry)
    except AddressError:
        return _TRAILING_COMMENT.sub("", entry).rstrip()
    return entry


def parse_entry(entry: str) -> tuple[Address, str]:
    """An address and its mailbox's name; a catch-all's address has no local part, that of `*@*` no domain either.

    :raises AddressError: it is no entry.
    """
    entry = without_comment(entry)
    if entry == EVERYTHING:
        return Address("", ""), entry
    if entry.startswith(CATCH_ALL):
        domain = parse_domain(entry.removeprefix(CATCH_ALL))
        return Address("", domain), (CATCH_ALL + domain).casefold()
    address = parse(entry)
    return address, address.fold


def file_name(mailbox: str) -> str:
    """The name of a mailbox's file, which never leads out of the folder, nor hides in it.

    :raises AddressError: no file can be named so.
    """
    name = mailbox + SUFFIX
    if "/" in name or "\0" in name or name.startswith("."):
        raise AddressError(f"{name!r} cannot be the name of a mailbox file")
    if len(name.encode("utf-8", "surrogateescape")) > MAX_FILE_NAME:
        raise AddressError(f"the mailbox file's name would have over {MAX_FILE_NAME} octets")
    return name


def mailboxes_of(address: str) -> tuple[str, ...]:
    """The mailboxes that may have an address's mail; the first one that there is has it.

    Its own, that of the address without `+tag`, the catch-all of its domain, and that of all domains.
    """
    try:
        local, domain = parse(address)
    except AddressError:  # it may still be the name of a file that somebody has made
        return (fold(address),)
    names = (fold(address), folded(without_tag(local), domain), f"{CATCH_ALL}{domain}".casefold(), EVERYTHING)
    return tuple(dict.fromkeys(names))
