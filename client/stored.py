"""A message as it stands in a mailbox file: who sent it, what it says, which delivery it was.

Gives: `StoredMail`, a view of an `mbox.Entry`; `mails`, those of an address. Texts are decoded but not made safe for
a terminal.
Fails: never for what is in the message. Headers and text that cannot be decoded appear as they are.
Limits: the message is in memory, and taken apart when it is first asked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from functools import cached_property
from typing import Any

from .mbox import Entry, MailboxFile, entries

# RFC 5321 section 4.4: ID = CFWS "ID" FWS ( Atom / msg-id ), in the first Received: field the one of our server.
_DELIVERY_ID = re.compile(r"\sid\s+<?([^\s;>]+)", re.IGNORECASE)

# The last clause of that field: For = CFWS "FOR" FWS ( Path / Mailbox ).
_ONLY_RECIPIENT = re.compile(r"\sfor\s+<([^>]*)>\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class StoredMail:
    """One message of a mailbox; `number` is its place there, counted from 1."""

    number: int
    entry: Entry

    @property
    def raw(self) -> bytes:
        """The message as it stands in the mailbox, LF line ends, the server's trace lines first."""
        return self.entry.content

    @cached_property
    def message(self) -> EmailMessage:
        """The message for Python's email package."""
        return message_from_bytes(self.raw, policy=policy.default)

    @cached_property
    def _parsed(self) -> Message:
        # The older policy takes anything; the newer one raises for some broken headers.
        return message_from_bytes(self.raw)

    @cached_property
    def _header(self) -> Message:
        return BytesHeaderParser().parsebytes(self.raw)

    @cached_property
    def _from_line(self) -> tuple[str, str, str]:
        return self.entry.from_line.decode("utf-8", "replace").removeprefix("From ").partition(" ")

    @property
    def id(self) -> str:
        """The delivery id, which the server said in its 250; "" for a message that did not come through it."""
        found = _DELIVERY_ID.search(self.field("Received"))
        return found[1] if found else ""

    @property
    def sender(self) -> str:
        """The envelope's sender; "" for none, as bounces have."""
        path = self.field("Return-Path")
        return path.strip("<>") if path else self._from_line[0]

    @property
    def sender_field(self) -> str:
        """The From: field, which may say something else than the envelope."""
        return self.field("From")

    @property
    def subject(self) -> str:
        return self.field("Subject")

    @property
    def date(self) -> str:
        """The Date: field, else when it was received, as the mailbox has it."""
        return self.field("Date") or self._from_line[2].strip()

    @property
    def received(self) -> str:
        """When the server had the whole of it: ISO 8601, UTC; "" where its trace does not say."""
        try:
            return parsedate_to_datetime(self.field("Received").rpartition(";")[2].strip()).isoformat()
        except (ValueError, TypeError, IndexError, OverflowError):
            return ""

    @property
    def text(self) -> str:
        """Its plain text; where it has none, "".  Line ends are LF."""
        return "".join(_text(part) for part in self._parts if _is_text(part, "plain"))

    @property
    def html(self) -> str:
        """Its HTML text; where it has none, ""."""
        return "".join(_text(part) for part in self._parts if _is_text(part, "html"))

    @property
    def shown(self) -> str:
        """What it says, for a person: its plain text, or any text where there is none; other parts are named."""
        return "\n".join(self._texts())

    @property
    def addresses(self) -> set[str]:
        """Every address in From: and the envelope's sender, in lower case."""
        named = getaddresses([self.sender_field])
        return {address.casefold() for _, address in [*named, ("", self.sender)] if address}

    def is_for(self, address: str) -> bool:
        """Whether it was sent to this address, letter case aside.

        The server's trace names the recipient where there was one alone; of several only the header tells.
        """
        if only := _ONLY_RECIPIENT.search(self.field("Received").rpartition(";")[0]):
            recipients = [only[1]]
        else:
            named = getaddresses([self.field(name) for name in ("To", "Cc", "Resent-To", "Resent-Cc")])
            recipients = [recipient for _, recipient in named]
        return _folded(address) in map(_folded, recipients)

    def field(self, name: str) -> str:
        """A header field, the first of its name, unfolded and decoded; "" where there is none."""
        for given, value in self._header.raw_items():
            if given.lower() == name.lower():
                return _field(value)
        return ""

    def summary(self) -> dict[str, Any]:
        """What `correio list --json` says of it."""
        return {
            "number": self.number,
            "id": self.id,
            "sender": self.sender,
            "from": self.sender_field,
            "subject": self.subject,
            "date": self.date,
            "received": self.received,
            "octets": len(self.raw),
        }

    def as_json(self) -> dict[str, Any]:
        """What `correio show --json` says of it: the summary, every header field, the texts, the parts."""
        parts = [
            {
                "type": part.get_content_type(),
                "name": _name(part),
                "octets": len(_octets(part)),
            }
            for part in self._parts
        ]
        headers = [[name, _field(value)] for name, value in self._header.raw_items()]
        return {**self.summary(), "headers": headers, "text": self.text, "html": self.html, "parts": parts}

    @cached_property
    def _parts(self) -> list[Message]:
        return [part for part in self._parsed.walk() if not part.is_multipart()]

    def _texts(self) -> Iterator[str]:
        plain = any(_is_text(part, "plain") for part in self._parts)
        for part in self._parts:
            if _is_text(part, "plain") or (not plain and _is_text(part)):
                yield _text(part)
            else:
                name = f", {found}" if (found := _name(part)) else ""
                yield f"[{part.get_content_type()}, {len(_octets(part))} octets{name}]"


def mails(mailbox: MailboxFile, address: str) -> Iterator[StoredMail]:
    """The messages in the mailbox of an address; where it is shared, those that were sent to it."""
    for number, entry in enumerate(entries(mailbox.lines()), 1):
        mail = StoredMail(number, entry)
        if not mailbox.shared or mail.is_for(address):
            yield mail


def _folded(address: str) -> str:
    return unicodedata.normalize("NFC", address).casefold()


def _field(value: Any) -> str:
    # Octets over 127 stand in a message as surrogates; in a header they are UTF-8 (RFC 6532).
    octets = str(value).encode("utf-8", "surrogateescape")
    return _decoded(re.sub(r"\r?\n(?=[ \t])", "", octets.decode("utf-8", "replace"))).strip()


def _decoded(value: str) -> str:
    """The encoded words of a field in plain (RFC 2047), or the field as it is where they are not valid."""
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, ValueError, LookupError):
        return value


def _is_text(part: Message, subtype: str = "") -> bool:
    if part.get_content_disposition() == "attachment":
        return False
    return part.get_content_maintype() == "text" and subtype in ("", part.get_content_subtype())


def _octets(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    charset = part.get_content_charset("utf-8")
    # ASCII is a subset of UTF-8, and text that says nothing of its charset is UTF-8 more often than not.
    if charset in ("us-ascii", "ascii"):
        charset = "utf-8"
    octets = _octets(part)
    try:
        text = octets.decode(charset, "replace")
    except (LookupError, ValueError):
        text = octets.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _name(part: Message) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError):
        return ""
    return _decoded(name) if name else ""
