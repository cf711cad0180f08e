"""The users file of a private stack: who is in it, and one address more.

Gives: `users`, its entries by the name of their mailbox's file; `add_user`. What an entry is, and which ones the
store refuses, is said in `mail/users.py`.
Fails: `AddressError` for what the store would refuse, for then it keeps the whole list as it was.
Limits: two processes must not add to one file at the same time.
"""

from __future__ import annotations

from pathlib import Path

from ..mail.address import AddressError
from ..mail.users import file_name, parse_entry, without_comment


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
