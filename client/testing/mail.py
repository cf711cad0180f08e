"""The users file of a private stack: who is in it, and one address more.

Gives: `users`, its entries by the name of their mailbox's file; `add_user`. What an entry is, and which ones the
store refuses, is said in `mailbox_store/users/users.py`.
Fails: `AddressError` for what the store would refuse, for then it keeps the whole list as it was.
Limits: two processes must not add to one file at the same time.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..mail.address import AddressError, parse
from ..mailbox.files import file_name

# NAME_MAX of Linux file systems, in octets.
_MAX_FILE_NAME = 255
_TRAILING_COMMENT = re.compile(r"\s#.*$")


def users(path: Path) -> dict[str, str]:
    """The entries of a users file, each with the name of its mailbox's file before it."""
    lines = path.read_text("utf-8-sig").split("\n")
    entries = [_bare(line.strip()) for line in lines if not line.strip().startswith("#")]
    return {file_name(entry): entry for entry in entries if entry}


def add_user(path: Path, address: str) -> None:
    """Add an address to a users file, unless its mailbox is that of an entry already.

    :raises AddressError: it is no address that can have a mailbox; the file is as it was.
    """
    name = _mailbox(address)
    if name in users(path):
        return
    octets = path.read_bytes()
    if octets and not octets.endswith(b"\n"):
        octets += b"\n"
    # Renamed into place: the store never reads half of it.
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(octets + f"{address}\n".encode())
    beside.replace(path)


def _bare(entry: str) -> str:
    # A local part may hold a #, so only what is no address is looked at for a comment behind it.
    try:
        parse(entry)
    except AddressError:
        return _TRAILING_COMMENT.sub("", entry).rstrip()
    return entry


def _mailbox(address: str) -> str:
    parse(address)
    name = file_name(address)
    if address.startswith("#"):
        raise AddressError("in the users file # begins a comment")
    if "/" in name or name.startswith("."):
        raise AddressError(f"{name!r} cannot be the name of a mailbox file")
    if len(name.encode()) > _MAX_FILE_NAME:
        raise AddressError(f"the mailbox file's name would have over {_MAX_FILE_NAME} octets")
    return name
