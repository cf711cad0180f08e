"""A message as it stands in a mailbox file: who sent it, what it says, which delivery it was.

Gives: `StoredMail`, a view of an `mbox.Entry`; `mails`, those of an address. Texts are decoded but not made safe for
a terminal; they can be written as UTF-8, for no half of a surrogate pair is in them.
Fails: never for what is in the message. A field or text that cannot be decoded appears as it is, and a message that
cannot be taken apart is one text.
Limits: the message is in memory, and taken apart when it is first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from functools import cached_property
from itertools import takewhile
from typing import Any

from .address import fold
from .language import counted
from .mbox import Entry, MailboxFile, entries

# What the server writes above each message, session_worker/trace.py: its Received field (RFC 5321 section 4.4), with
# `for` where there was one recipient in all. The client's name comes first and may be any word, even `id`.
_TRACE = re.compile(
    r"from\s+\S+\s+\(\S+\)\s+by\s+\S+\s+with\s+\S+\s+id\s+(?P<id>[^\s;]+)(?:\s+for\s+<(?P<only>.*)>)?\s*;"
)

# Python's decoders make them of what "unicode_escape" or UTF-7 may say; no UTF-8 has them.
_HALF_OF_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Part:
    """A part that has no parts; `text` is what it says if it is text, `octets` how large it is."""

    type: str
    name: str
    octets: int
    text: str
    attached: bool = False

    def is_text(self, subtype: str = "") -> bool:
        kind, _, found = self.type.partition("/")
        return kind == "text" and subtype in ("", found) and not self.attached


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
        """The message for Python's email package; where that cannot take it apart, one text under its header."""
        try:
            return message_from_bytes(self.raw, policy=policy.default)
        except Exception:
            message = EmailMessage()
            for name, value in self._header.raw_items():
                # What describes the body is what cannot be understood, or is not true of one text.
                if not name.lower().startswith("content-"):
                    message.set_raw(name, value)
            message.set_payload(self._body.decode("ascii", "surrogateescape"))
            return message

    @cached_property
    def _header(self) -> Message:
        # The older policy keeps the fields as they are; the newer one takes apart what it reads, and may fail.
        return BytesHeaderParser().parsebytes(self.raw)

    @property
    def _body(self) -> bytes:
        return str(self._header.get_payload()).encode("ascii", "surrogateescape")

    @cached_property
    def _from_line(self) -> tuple[str, str, str]:
        return self.entry.from_line.decode("utf-8", "replace").removeprefix("From ").partition(" ")

    @property
    def id(self) -> str:
        """The delivery id, which the server said in its 250; "" for a message that did not come through it."""
        return self._trace["id"] if self._trace else ""

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
        except Exception:
            return ""

    @property
    def text(self) -> str:
        """Its plain text; where it has none, "".  Line ends are LF."""
        return "".join(part.text for part in self._parts if part.is_text("plain"))

    @property
    def html(self) -> str:
        """Its HTML text; where it has none, ""."""
        return "".join(part.text for part in self._parts if part.is_text("html"))

    @property
    def shown(self) -> str:
        """What it says, for a person: its plain text, or any text where there is none; other parts are named."""
        return "\n".join(self._texts())

    @property
    def addresses(self) -> set[str]:
        """Every address in From: and the envelope's sender, in lower case."""
        return {address.casefold() for address in [*_addresses([self.sender_field]), self.sender] if address}

    def is_for(self, address: str) -> bool:
        """Whether it was sent to this address, or into the mailbox of this address; letter case aside.

        The server names the recipients of the envelope; what did not come through it has those of its header.
        """
        recipients = self._envelope or _addresses(map(self.field, ("To", "Cc", "Resent-To", "Resent-Cc")))
        return fold(address) in map(fold, recipients)

    @cached_property
    def _envelope(self) -> list[str]:
        """The recipients that the server has written above its trace; behind that a sender may say what it likes."""
        if self._trace is None:
            return []
        above = takewhile(lambda item: item[0].lower() != "received", self._header.raw_items())
        named = [_unfolded(value) for name, value in above if name.lower() in ("delivered-to", "x-original-to")]
        return [*named, *([self._trace["only"]] if self._trace["only"] else [])]

    def field(self, name: str) -> str:
        """A header field, the first of its name, unfolded and decoded; "" where there is none."""
        return _decoded(self._plain(name))

    def _plain(self, name: str) -> str:
        for given, value in self._header.raw_items():
            if given.lower() == name.lower():
                return _unfolded(value)
        return ""

    @cached_property
    def _trace(self) -> re.Match[str] | None:
        # As it stands: what looks like an encoded word is a name or an address here.
        return _TRACE.match(self._plain("Received"))

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
        parts = [{"type": part.type, "name": part.name, "octets": part.octets} for part in self._parts]
        headers = [[name, _decoded(_unfolded(value))] for name, value in self._header.raw_items()]
        return {**self.summary(), "headers": headers, "text": self.text, "html": self.html, "parts": parts}

    @cached_property
    def _parts(self) -> list[_Part]:
        try:
            return [_part(part) for part in message_from_bytes(self.raw).walk() if not part.is_multipart()]
        except Exception:  # deep nesting is a RecursionError, a strange boundary a ValueError, and so on
            return [_Part("text/plain", "", len(self._body), self._body.decode("utf-8", "replace"))]

    def _texts(self) -> Iterator[str]:
        plain = any(part.is_text("plain") for part in self._parts)
        for part in self._parts:
            if part.is_text("plain") or (not plain and part.is_text()):
                yield part.text
            else:
                name = f", {part.name}" if part.name else ""
                yield f"[{part.type}, {counted(part.octets, 'octet')}{name}]"


def mails(mailbox: MailboxFile, address: str) -> Iterator[StoredMail]:
    """The messages in the mailbox of an address; where it is shared, those that were sent to it."""
    for number, entry in enumerate(entries(mailbox.lines()), 1):
        mail = StoredMail(number, entry)
        if not mailbox.shared or mail.is_for(address):
            yield mail


def _addresses(fields: Iterable[str]) -> list[str]:
    """The addresses in these fields; one that cannot be taken apart names nobody."""
    found: list[str] = []
    for field in fields:
        with suppress(Exception):  # comments in comments, a thousand deep, are a RecursionError
            found += (address for _, address in getaddresses([field]))
    return found


def _clean(text: str) -> str:
    return _HALF_OF_PAIR.sub("\ufffd", text)


def _unfolded(value: Any) -> str:
    # Octets over 127 stand in a message as surrogates; in a header they are UTF-8 (RFC 6532).
    octets = str(value).encode("utf-8", "surrogateescape")
    return re.sub(r"\r?\n(?=[ \t])", "", octets.decode("utf-8", "replace")).strip()


def _decoded(value: str) -> str:
    """The encoded words of a field in plain (RFC 2047), or the field as it is where they are not valid."""
    try:
        return _clean(str(make_header(decode_header(value)))).strip()
    except Exception:  # any codec of Python's may be asked for, and each has errors of its own
        return _clean(value)


def _part(part: Message) -> _Part:
    octets = _octets(part)
    return _Part(
        _clean(part.get_content_type()),
        _name(part),
        len(octets),
        _text(part, octets) if part.get_content_maintype() == "text" else "",
        part.get_content_disposition() == "attachment",
    )


def _octets(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message, octets: bytes) -> str:
    try:
        charset = part.get_content_charset("utf-8")
        # ASCII is a subset of UTF-8, and text that says nothing of its charset is UTF-8 more often than not.
        text = octets.decode("utf-8" if charset in ("us-ascii", "ascii") else charset, "replace")
    except Exception:  # see _decoded
        text = octets.decode("utf-8", "replace")
    return _clean(text.replace("\r\n", "\n"))


def _name(part: Message) -> str:
    try:
        name = part.get_filename()
    except Exception:
        return ""
    return _decoded(name) if name else ""
