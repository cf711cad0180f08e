"""The parts of a message (RFC 2045, RFC 2046), flat: each that has no parts itself, in their order.

Gives: `take_apart`. A message in a message is a part, and not looked into. A multipart without a boundary that can be
used, or in which that never comes, is a text.
Fails: never. What cannot be taken apart within the limits is one text, as it stands, and `problem` says why.
Limits: one pass over the lines that begin with `--`, whatever is nested in what.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from functools import cached_property

from .charset import decoded as text_of
from .charset import is_known, is_utf8
from .fields import Header, split
from .values import parameters

# A digest of a thousand mails is far below, and so is what Postfix takes (mime_nesting_limit).
MAX_PARTS = 5000
MAX_DEPTH = 100
# Lines that may be delimiters, and headers of all parts together: a quarter of a second for each.
MAX_DELIMITERS = 500_000
MAX_HEADERS = 2 * 1024 * 1024
MAX_FIELDS = 50_000
# RFC 2046 section 5.1.1: 70 characters; of some programs they have more, but never more than a line may have.
_DELIMITER = re.compile(rb"\n--([^\n]{1,1000})(?=\n|\Z)")
_TYPE = re.compile(r"[^\s/;,()<>@:\\\"\[\]?=]+/[^\s/;,()<>@:\\\"\[\]?=]+")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
# Texts that were encoded apart and then joined. More of them are garbage.
_MAX_JOINED = 10_000
_MAX_LINES = 1_000_000


@dataclass(frozen=True)
class Part:
    """A part that has no parts: its type, in lower case, its name as it was given, its octets decoded.

    `alternative`: the multipart/alternative that it is in, counted from 1; 0 for none.
    """

    type: str
    name: str
    octets: bytes = field(repr=False)
    charset: str = ""
    attached: bool = False
    alternative: int = 0

    def is_text(self, subtype: str = "") -> bool:
        """Whether it is a text of the mail's own."""
        kind, _, found = self.type.partition("/")
        return kind == "text" and subtype in ("", found) and not self.attached

    @cached_property
    def text(self) -> str:
        """Its octets as text, line ends LF."""
        return text_of(self.octets, self.charset)[0].replace("\r\n", "\n")

    @property
    def problem(self) -> str:
        """Why its text may not be what was meant. What is UTF-8 is certain, whatever it calls itself."""
        if self.type.startswith("text/") and self.charset and not is_known(self.charset) and not is_utf8(self.octets):
            return f"the charset {self.charset!r} is not known: shown as windows-1252"
        return ""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a message; `depth`: of multiparts in multiparts; `longest_field`: of those that describe parts."""

    leaves: list[Part]
    problem: str = ""
    depth: int = 0
    longest_field: int = 0


class _TooMuch(Exception):
    """A limit is passed; the text says which."""


def take_apart(content: bytes, header: Header) -> Parts:
    """The parts of a message.

    :param header: its header, with the place where its body begins.
    """
    if header.problem:
        return Parts([_as_it_stands(content, header)])
    walk = _Walk(content)
    try:
        walk.whole(header)
    except _TooMuch as limit:
        return Parts([_as_it_stands(content, header)], f"it has {limit}, and is shown as it stands")
    return Parts(walk.leaves, depth=walk.depth, longest_field=walk.longest_field)


def _as_it_stands(content: bytes, header: Header) -> Part:
    return Part("text/plain", "", content[header.body_at :])


@dataclass(frozen=True, slots=True)
class _Entity:
    """What has a header: the message or a part of it."""

    header: Header
    type: str
    parameters: dict[str, str]


@dataclass(slots=True)
class _Multipart:
    entity: _Entity
    boundary: bytes
    alternative: int
    parts: int = 0


class _Walk:
    """Goes over the delimiters of a message from its beginning to its end."""

    def __init__(self, content: bytes) -> None:
        self.leaves: list[Part] = []
        self.depth = 0
        self.longest_field = 0
        self._content = content
        self._open: list[_Multipart] = []
        self._levels: dict[bytes, int] = {}
        self._leaf: _Entity | None = None
        self._alternatives = 0
        self._header_octets = MAX_HEADERS
        self._fields = MAX_FIELDS

    def whole(self, header: Header) -> None:
        self._begin(header)
        if self._open:
            # From the line end before the body, for a delimiter may be its first line.
            for count, line in enumerate(_DELIMITER.finditer(self._content, header.body_at - 1)):
                if count == MAX_DELIMITERS:
                    raise _TooMuch(f"over {MAX_DELIMITERS} lines that begin with --")
                self._delimiter(line)
                if not self._open:
                    break
        self._end_leaf(len(self._content))
        self._close_to(0, len(self._content))

    def _delimiter(self, line: re.Match[bytes]) -> None:
        given = line[1].rstrip(b" \t\r")
        level = self._levels.get(given)
        closes = level is None and given.endswith(b"--")
        if closes:
            level = self._levels.get(given[:-2])
        if level is None:
            return
        end = line.start() - (line[1].endswith(b"\r") and self._content[line.start() - 1] == ord("\r"))
        self._end_leaf(end)
        self._close_to(level if closes else level + 1, end)
        if not closes:
            self._open[level].parts += 1
            self._begin(self._header(line.end() + 1))

    def _header(self, start: int) -> Header:
        header = split(self._content, start, octets_at_most=self._header_octets, most=self._fields)
        if header.problem:
            raise _TooMuch(f"over {MAX_HEADERS // 1024} KiB or {MAX_FIELDS} fields in the headers of its parts")
        self._header_octets -= header.body_at - start
        self._fields -= len(header.fields)
        return header

    def _begin(self, header: Header) -> None:
        """What has this header begins."""
        described = (len(field.value) for field in header.fields if self._open or field.key.startswith("content-"))
        self.longest_field = max(self.longest_field, *described, 0)
        entity = _Entity(header, *_content_type(header))
        boundary = entity.parameters.get("boundary", "").encode("utf-8", "replace").rstrip()
        if not entity.type.startswith("multipart/") or not boundary or boundary in self._levels:
            self._leaf = entity
            return
        if len(self._open) == MAX_DEPTH:
            raise _TooMuch(f"over {MAX_DEPTH} levels of parts in parts")
        alternative = self._open[-1].alternative if self._open else 0
        if entity.type == "multipart/alternative" and not alternative:
            self._alternatives += 1
            alternative = self._alternatives
        self._levels[boundary] = len(self._open)
        self._open.append(_Multipart(entity, boundary, alternative))
        self.depth = max(self.depth, len(self._open))

    def _close_to(self, level: int, end: int) -> None:
        """All multiparts from this level on have ended."""
        while len(self._open) > level:
            closed = self._open.pop()
            del self._levels[closed.boundary]
            if not closed.parts:
                self._leaf = closed.entity
                self._end_leaf(end)

    def _end_leaf(self, end: int) -> None:
        entity, self._leaf = self._leaf, None
        if entity is None:
            return
        if len(self.leaves) == MAX_PARTS:
            raise _TooMuch(f"over {MAX_PARTS} parts")
        body_at = entity.header.body_at
        octets = _without_encoding(self._content[body_at : max(body_at, end)], entity.header)
        self.leaves.append(_part(entity, octets, self._open[-1] if self._open else None))


def _part(entity: _Entity, octets: bytes, within: _Multipart | None) -> Part:
    kind = entity.type
    if kind.startswith("multipart/"):
        kind = "text/plain"
    elif within and within.entity.type == "multipart/digest" and not entity.header.value("content-type"):
        kind = "message/rfc822"  # RFC 2046 section 5.1.5
    disposition, named = parameters(entity.header.value("content-disposition"))
    return Part(
        kind,
        named.get("filename") or entity.parameters.get("name", ""),
        octets,
        entity.parameters.get("charset", ""),
        # RFC 2183 section 2.8: what is not known is an attachment.
        disposition not in ("", "inline"),
        within.alternative if within else 0,
    )


def _content_type(header: Header) -> tuple[str, dict[str, str]]:
    kind, given = parameters(header.value("content-type"))
    # RFC 2045 section 5.2: what is not valid is plain text.
    return (kind if _TYPE.fullmatch(kind) else "text/plain"), given


def _without_encoding(octets: bytes, header: Header) -> bytes:
    encoding = parameters(header.value("content-transfer-encoding"))[0]
    if encoding == "quoted-printable":
        return binascii.a2b_qp(octets)
    if encoding == "base64":
        return _from_base64(octets)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _from_uuencode(octets)
    return octets


def _from_base64(octets: bytes) -> bytes:
    """RFC 2045 section 6.8: what is not in the alphabet is not there. Where nothing is, the octets as they stand."""
    joined = re.split(rb"=+", octets.translate(None, _NOT_BASE64), maxsplit=_MAX_JOINED)
    if len(joined) > _MAX_JOINED:
        return octets
    decoded = b"".join(map(_base64, joined))
    return decoded if decoded or octets.isspace() else octets


def _base64(text: bytes) -> bytes:
    if len(text) % 4 == 1:
        text = text[:-1]  # one character is less than an octet
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4))


def _from_uuencode(octets: bytes) -> bytes:
    lines = octets.split(b"\n", _MAX_LINES)
    begins = next((number for number, line in enumerate(lines) if line.startswith(b"begin ")), None)
    if begins is None or len(lines) > _MAX_LINES:
        return octets
    decoded: list[bytes] = []
    for line in lines[begins + 1 :]:
        if line.rstrip() == b"end":
            break
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            return octets
    return b"".join(decoded)
