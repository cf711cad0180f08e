"""The header of a message or of a part: which fields stand in it, and what each says.

Gives: `split`, the header at the start of some octets; `top`, where a message begins under what programs put on top.
Read is what RFC 5322 generates and what it only lets be read (section 4): blanks before the colon, folds without
text. A CR that ends no line is text.
Fails: never. What is no field ends the header.
Limits: time and memory are linear in the octets; no more is read as a header than `MAX_HEADER` and `MAX_FIELDS` say.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from .charset import unnamed
from .values import decoded, displayed

# A header with 12,000 recipients has 300 KiB, the trace above it with 1000 as much at most. Half a second goes
# into one of this size that holds the worst there is.
MAX_HEADER = 768 * 1024
# Five hundred hosts on the way leave three fields each; nobody has seen a tenth of it.
MAX_FIELDS = 10_000

# RFC 5322 section 3.6.8: ftext = %d33-57 / %d59-126; section 4.5: blanks before the colon; section 4.2: folds with
# nothing but blanks. A line ends with LF, or CRLF.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_NAME = re.compile(rb"([!-9;-~]{1,40})[ \t]*:")
_GOES_ON = re.compile(rb"[ \t]|[!-9;-~]+[ \t]*:")
_END = re.compile(rb"\r?\n")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
# What mbox files have before a message (RFC 4155), also where it was quoted once.
_FROM_LINE = re.compile(rb">?From [^\n]*\n")
# A first paragraph "Note: buy milk" looks like a header. What tells one is a field that mail really has.
TELLING = frozenset(
    {
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "message-id",
        "sender",
        "reply-to",
        "received",
        "return-path",
        "mime-version",
        "content-type",
        "in-reply-to",
        "references",
        "resent-from",
        "resent-to",
        "list-id",
    }
)
# RFC 5322 section 3.6: the fields whose values are lists of addresses.
_OF_ADDRESSES = frozenset(
    f"{resent}{name}" for resent in ("", "resent-") for name in ("from", "sender", "reply-to", "to", "cc", "bcc")
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `value` is what stands behind the colon, unfolded, nothing decoded. It begins at `start`."""

    name: str
    value: str
    start: int
    end: int

    @property
    def key(self) -> str:
        """The name, for letter case says nothing."""
        return self.name.lower()

    @property
    def text(self) -> str:
        """What it says: encoded words decoded."""
        return displayed(self.value) if self.key in _OF_ADDRESSES else decoded(self.value)


@dataclass(frozen=True, slots=True)
class Header:
    """The fields, where the body begins, and what was wrong with them; "" for nothing."""

    fields: tuple[Field, ...]
    body_at: int
    problem: str = ""

    def all(self, name: str) -> list[Field]:
        """The fields of a name, which is given in lower case."""
        return [field for field in self.fields if field.key == name]

    def value(self, name: str) -> str:
        """The value of the first field of this name; "" where there is none."""
        return next((field.value for field in self.fields if field.key == name), "")

    @property
    def is_telling(self) -> bool:
        """Whether it is one beyond doubt."""
        return any(field.key in TELLING for field in self.fields)


def split(octets: bytes, start: int = 0, *, octets_at_most: int = MAX_HEADER, most: int = MAX_FIELDS) -> Header:
    """The header that begins at `start`. It ends before an empty line, or before the first line that is no field."""
    limit = min(len(octets), start + octets_at_most)
    fields: list[Field] = []
    at = start
    while len(fields) < most and (found := _FIELD.match(octets, at, limit)):
        if found.end() == limit < len(octets) and octets[limit - 1 : limit] != b"\n":
            break  # it goes on behind the limit
        fields.append(Field(found[1].decode("ascii"), _unfolded(found[2]), at, found.end()))
        at = found.end()
    if empty := _END.match(octets, at):
        return Header(tuple(fields), empty.end())
    goes_on = (len(fields) == most or limit < len(octets)) and _GOES_ON.match(octets, at)
    return Header(tuple(fields), at, _too_much(octets_at_most, most) if goes_on else "")


def is_telling_at(octets: bytes, at: int) -> bool:
    """Whether a field begins there that mail really has."""
    name = _NAME.match(octets, at)
    return name is not None and name[1].decode("ascii").lower() in TELLING


def _too_much(octets: int, fields: int) -> str:
    return f"its header has over {octets // 1024} KiB or {fields} fields; the rest of it is shown as text"


def _unfolded(value: bytes) -> str:
    # Octets over 127 in a header are UTF-8 (RFC 6532), or what programs sent before there was that.
    return _FOLD.sub("", unnamed(value)).removesuffix("\r").strip(" \t")


def top(octets: bytes, at: int = 0) -> int:
    """Where the message begins, if a byte order mark or a line `From ` was put on top of it."""
    while octets.startswith(codecs.BOM_UTF8, at):  # two, where two programs put it there
        at += len(codecs.BOM_UTF8)
    line = _FROM_LINE.match(octets, at)
    return line.end() if line else at
