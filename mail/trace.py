"""The trace: the Received field above each delivery (RFC 5321 section 4.4), written, found and taken apart.

    Received: from <name that the client gave> (<its address>)
        by <domain> with <protocol> id <delivery id>
        for <recipient>; <date>           (the recipient only where it is the only one)

Gives: `received`, the field; `mark`, the line by which an entry of a mailbox is known; `read` and `received_at`, what
the field says.
Fails: never; of a field that is not ours `read` says None.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

_UNFIT = re.compile(r'[^!-~]|[()<>,;"\\]')
# The client's name comes first and may be any word, even `id`.
_FIELD = re.compile(r"from\s+\S+\s+\(\S+\)\s+by\s+\S+\s+with\s+\S+\s+id\s+([^\s;]+)(?:\s+for\s+<(.*)>)?\s*;")


class TraceParts(NamedTuple):
    """What a Received field of ours says: the delivery id, and the recipient where it was the only one, else ""."""

    delivery: str
    only: str


def received(
    hello: str, peer: str, domain: str, delivery: str, time: int, *, extended: bool, utf8: bool, only: str = ""
) -> bytes:
    """The folded field with its name, LF line ends.

    :param hello: the name that the client gave with HELO or EHLO.
    :param peer: its IP address.
    :param domain: the server's.
    :param time: when the message ended, ms since the epoch.
    :param extended: the client said EHLO; `utf8`: and asked for SMTPUTF8 (RFC 6531).
    :param only: the recipient, where there is no other: others must not learn of each other (RFC 5321 section 7.2).
    """
    # The IANA "Mail Transmission Types"; RFC 6531 section 4.3 for UTF8SMTP.
    protocol = "UTF8SMTP" if utf8 else "ESMTP" if extended else "SMTP"
    recipient = f"\n\tfor <{only}>" if only else ""
    return (
        f"Received: from {_client(hello, peer)}\n"
        f"\tby {domain} with {protocol} id {delivery}{recipient}; {_date(time // 1000)}\n"
    ).encode()


def mark(field: bytes, delivery: str) -> bytes:
    """The line of a field, as `received` gives it, that names its delivery; with its newline."""
    id = delivery.encode()
    return next((line + b"\n" for line in field.split(b"\n")[:-1] if id in line), b"")


def read(value: str) -> TraceParts | None:
    """What a Received field says, given its unfolded value; None for one that is not ours."""
    found = _FIELD.match(value)
    return TraceParts(found[1], found[2] or "") if found else None


def received_at(value: str) -> datetime | None:
    """When the message was received, by any Received field's unfolded value; None where that does not say."""
    try:
        return parsedate_to_datetime(value.rpartition(";")[2].strip())
    except Exception:  # whatever the library raises on what strangers write
        return None


# Under load the same second and the same few clients come again and again.
@lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


@lru_cache(maxsize=1024)
def _client(hello: str, peer: str) -> str:
    # A name that is no domain must neither quote nor comment on anything (RFC 5322 section 3.2.3 specials).
    return f"{_UNFIT.sub('?', hello)} ({_literal(peer)})"


def _literal(peer: str) -> str:
    # RFC 5321 section 4.1.3
    try:
        address = ip_address(peer)
    except ValueError:
        return "[unknown]"
    return f"[IPv6:{address}]" if isinstance(address, IPv6Address) else f"[{address}]"
