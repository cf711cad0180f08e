"""The trace header of a delivery (RFC 5321 section 4.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from session_worker.dialogue.state import Session, Transaction

_UNFIT = re.compile(r'[^!-~]|[()<>,;"\\]')


def received(session: Session, mail: Transaction, domain: str, delivery: str, time: int) -> bytes:
    """The folded Received: header, LF line ends, for a message that ended at `time` (ms since the epoch).

    `for` stands only where there is one recipient: others must not learn of each other (RFC 5321 section 7.2).
    """
    only = f"\n\tfor <{mail.recipients[0].address}>" if len(mail.recipients) == 1 else ""
    date = _date(time // 1000)
    return (
        f"Received: from {_client(session.hello, session.peer)}\n"
        f"\tby {domain} with {_protocol(session, mail)} id {delivery}{only}; {date}\n"
    ).encode()


def _protocol(session: Session, mail: Transaction) -> str:
    # The IANA "Mail Transmission Types"; RFC 6531 section 4.3 for UTF8SMTP.
    if mail.utf8:
        return "UTF8SMTP"
    return "ESMTP" if session.extended else "SMTP"


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
