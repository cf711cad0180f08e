"""A message of a mailbox as its readers see it: who sent it, what it says, which delivery it was.

Gives: `StoredMail`, a view of an `mbox.Entry`. Texts are decoded but not made safe for
a terminal; they can be written as UTF-8, for no half of a surrogate pair is in them.
Fails: never for what is in the message. A field or text that cannot be decoded appears as it is, a message that
cannot be taken apart is one text, and `problems` says why.
Limits: the message is in memory, and taken apart when it is first asked for. Time is linear in its size.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from itertools import takewhile
from typing import Any

from . import trace
from .address import fold
from .fields import Header, split, top
from .mbox import Entry
from .parts import Part, Parts, take_apart
from .values import addresses

_TRACE_FIELDS = frozenset({"return-path", "delivered-to", "x-original-to", "received"})
_MARKS_OF_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Python's email package takes time by lines times levels, and by the square of a field's length.
_EMAIL_LINES = 500_000
_EMAIL_LEVELS = 20
_EMAIL_PARTS = 1000
_EMAIL_FIELD = 8 * 1024


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
        """The message for Python's email package; where that would not be done in time, one text under its header.

        Fields of more than `_EMAIL_FIELD` octets are not in it, and what puts blanks before a colon is put right.
        """
        content, header = self._opened
        body = content[header.body_at :]
        if self._is_for_email_package():
            with suppress(Exception):
                return message_from_bytes(_plain_header(header) + b"\n" + body, policy=policy.default)
        message = EmailMessage()
        for field in header.fields:
            # What describes the body is what cannot be understood, or is not true of one text.
            if not field.key.startswith("content-") and len(field.value) <= _EMAIL_FIELD:
                message.set_raw(field.name, field.value)
        message.set_payload(body.decode("ascii", "surrogateescape"))
        return message

    def _is_for_email_package(self, levels: int = _EMAIL_LEVELS) -> bool:
        taken = self._taken
        # It looks into attached messages, too.
        attached = (part for part in taken.leaves if part.type.startswith("message/"))
        return (
            levels > taken.depth
            and not self._header.problem
            and not taken.problem
            and taken.longest_field <= _EMAIL_FIELD
            and len(taken.leaves) <= _EMAIL_PARTS
            and self.raw.count(b"\n") <= _EMAIL_LINES
            and all(
                StoredMail(0, Entry(b"", part.octets))._is_for_email_package(levels - taken.depth - 1)
                for part in attached
            )
        )

    @cached_property
    def _opened(self) -> tuple[bytes, Header]:
        """The octets and their header: the trace, and the sender's below it.

        Where a mark or a line `From ` stands on top of a message, it is no header for the server, which puts an empty
        line before a text. It is the message's own beginning all the same.
        """
        content = self.raw
        above = split(content)
        if not all(field.key in _TRACE_FIELDS for field in above.fields):
            return content, above
        at = above.body_at
        if content.startswith(_MARKS_OF_UTF16, at):
            # The line end that every message is stored with is one octet, and none of this text.
            text = content[at : at + (len(content) - at) // 2 * 2]
            content = content[:at] + text.decode("utf-16", "replace").encode()
        below = split(content, top(content, at))
        if not below.is_telling:
            return content, above
        return content, Header(above.fields + below.fields, below.body_at, below.problem)

    @property
    def _header(self) -> Header:
        return self._opened[1]

    @cached_property
    def _taken(self) -> Parts:
        return take_apart(*self._opened)

    @cached_property
    def _from_line(self) -> tuple[str, str, str]:
        return self.entry.from_line.decode("utf-8", "replace").removeprefix("From ").partition(" ")

    @property
    def id(self) -> str:
        """The delivery id, which the server said in its 250; "" for a message that did not come through it."""
        return self._trace.delivery if self._trace else ""

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
        at = trace.received_at(self._header.value("received"))
        return at.isoformat() if at else ""

    @property
    def text(self) -> str:
        """Its plain text; where it has none, "".  Line ends are LF."""
        return _together(part.text for part in self.parts if part.is_text("plain"))

    @property
    def html(self) -> str:
        """Its HTML text; where it has none, ""."""
        return _together(part.text for part in self.parts if part.is_text("html"))

    @property
    def shown(self) -> str:
        """What it says, for a person: plain text, HTML where that says nothing; other parts are named."""
        return "\n".join(self._texts())

    @property
    def parts(self) -> list[Part]:
        """All parts, those that are text of its own and those that are attached, in their order."""
        return self._taken.leaves

    @property
    def problems(self) -> list[str]:
        """Why something of it is not shown as its sender may have meant it."""
        found = [self._header.problem, self._taken.problem, *(part.problem for part in self.parts)]
        return list(dict.fromkeys(problem for problem in found if problem))

    @property
    def addresses(self) -> set[str]:
        """Every address in From: and the envelope's sender, in the form in which addresses are compared."""
        return {fold(address) for address in [*self._in_fields("from"), self.sender] if address}

    def is_for(self, address: str) -> bool:
        """Whether it was sent to this address, or into the mailbox of this address; letter case aside.

        The server names the recipients of the envelope; what did not come through it has those of its header.
        """
        recipients = self._envelope or self._in_fields("to", "cc", "resent-to", "resent-cc")
        return fold(address) in map(fold, recipients)

    @cached_property
    def _envelope(self) -> list[str]:
        """The recipients that the server has written above its trace; behind that a sender may say what it likes."""
        if self._trace is None:
            return []
        above = takewhile(lambda field: field.key != "received", self._header.fields)
        named = [field.value for field in above if field.key in ("delivered-to", "x-original-to")]
        return [*named, self._trace.only] if self._trace.only else named

    def _in_fields(self, *names: str) -> list[str]:
        return [address for name in names for field in self._header.all(name) for address in addresses(field.value)]

    def field(self, name: str) -> str:
        """A header field, the first of its name, unfolded and decoded; "" where there is none."""
        return next((field.text for field in self._header.all(name.lower())), "")

    @cached_property
    def _trace(self) -> trace.TraceParts | None:
        # As it stands: what looks like an encoded word is a name or an address here.
        return trace.read(self._header.value("received"))

    def summary(self) -> dict[str, Any]:
        """What a list of messages says of it, in values that JSON has."""
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
        """All that it says, in values that JSON has: the summary, every header field, the texts, the parts."""
        return {
            **self.summary(),
            "headers": [[field.name, field.text] for field in self._header.fields],
            "text": self.text,
            "html": self.html,
            "parts": [{"type": part.type, "name": part.name, "octets": len(part.octets)} for part in self.parts],
            "problems": self.problems,
        }

    def _texts(self) -> Iterator[str]:
        plain = [part for part in self.parts if part.is_text("plain") and not _is_blank(part.text)]
        says = {part.alternative for part in plain}
        any_text = plain or any(part.is_text("html") and not _is_blank(part.text) for part in self.parts)
        for part in self.parts:
            # HTML is another form of the plain text beside it, or of all plain text where it stands for itself.
            html = part.is_text("html") and not (part.alternative in says if part.alternative else plain)
            if part.is_text("plain") or html or (part.is_text() and not any_text):
                if not _is_blank(part.text):
                    yield part.text
            else:
                name = f", {part.name}" if part.name else ""
                size = len(part.octets)
                yield f"[{part.type}, {size} octet{'' if size == 1 else 's'}{name}]"
        yield from (f"[{problem}]" for problem in self.problems)


def _plain_header(header: Header) -> bytes:
    """The fields that are not too long, each on one line."""
    fields = (f"{field.name}: {field.value}" for field in header.fields if len(field.value) <= _EMAIL_FIELD)
    return "".join(f"{field}\n" for field in fields).replace("\r", " ").encode()


def _together(texts: Iterable[str]) -> str:
    """Texts one below the other."""
    together = list(texts)
    return "".join(
        text if text.endswith("\n") or not text or number == len(together) else f"{text}\n"
        for number, text in enumerate(together, 1)
    )


def _is_blank(text: str) -> bool:
    # Beside blanks: what stands in place of a text and is not seen.
    return not text.strip(" \t\r\n\f\v\u00a0\u200b\u200c\u200d\ufeff")
