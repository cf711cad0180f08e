"""A mail message out of whatever a person has: a text, or a message that already has its header.

Gives: `scan`, which learns what must be known before the first octet is sent; `compose`, which adds the header
fields that are missing (RFC 5322) and chooses an encoding (RFC 2045) that the server can take;
`ComposedMessage.pieces`, the octets in pieces. A header that is there is kept as it is, but for Bcc, which nobody is
to read, and what programs put on top of it: a byte order mark, a line `From `.
Fails: `MessageError`, in words for whoever wrote the message.
Limits: memory is bounded by a few pieces whatever the size; the input is read three times, so it must be seekable.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import Header
from email.utils import formatdate, make_msgid, quote
from typing import BinaryIO, Literal

from ..mail.fields import MAX_FIELDS, is_telling_at, split, top
from .smtp import canonical

# Read and sent at once; large enough that the system calls do not count.
PIECE = 64 * 1024
# A header larger than this is not one that anybody wrote; servers' own limits are about the same (Postfix: 100 KiB).
MAX_HEADER = 256 * 1024
# RFC 5322 section 2.1.1: 998 octets without the line end.
MAX_TEXT_LINE = 998
# RFC 2045 section 6.8: lines of at most 76 characters, four for each three octets; so 57 octets a line.
_BASE64_PIECE = 57 * 1024

_FIELD_TEXT = re.compile(r"([!-9;-~]+):[ \t]*(.*)", re.DOTALL)
# RFC 5322 section 3.6: fields that a message has at most once.
_ONCE = frozenset(b"from to cc bcc subject date message-id sender reply-to in-reply-to references".split())
# RFC 5322 section 3.6.3: whom these name the others must not learn, so they are left out.
_BLIND = frozenset({b"bcc", b"resent-bcc"})
_MIME = frozenset({b"mime-version", b"content-type", b"content-transfer-encoding"})

Encoding = Literal["as-is", "8bit", "quoted-printable", "base64"]


class MessageError(ValueError):
    """The message cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class NamedAddress:
    """A person's address, with or without a name: what stands in From: and To:."""

    name: str
    address: str

    def __str__(self) -> str:
        if not self.name:
            return self.address
        name = f'"{quote(self.name)}"' if self.name.isascii() else Header(self.name, "utf-8").encode()
        return f"{name} <{self.address}>"


@dataclass(frozen=True, slots=True)
class Fields:
    """What the header is to say; `extra` are whole lines of the form `Name: value`."""

    sender: NamedAddress
    recipients: tuple[NamedAddress, ...]
    subject: str | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """What the input is: its header without Bcc, all names in it in lower case, and where the body begins."""

    header: bytes
    names: frozenset[bytes]
    body_at: int
    ascii: bool  # the body has no octet over 127
    text: bool  # the body is UTF-8 without NUL
    longest: int  # octets of its longest line, without the line end


@dataclass(frozen=True, slots=True)
class ComposedMessage:
    """A message ready to be sent: a whole header, and a body that is encoded while it is read."""

    header: bytes
    body_at: int
    encoding: Encoding
    eight_bit: bool  # octets over 127 are left, for which the server must offer 8BITMIME (RFC 6152)
    utf8_header: bool  # the header has them, for which it must offer SMTPUTF8 (RFC 6531)

    def pieces(self, file: BinaryIO) -> Iterator[bytes]:
        """The message in canonical form, without doubled dots.

        :param file: the one that was scanned.
        """
        return canonical(self._octets(file))

    def size(self, file: BinaryIO) -> int:
        """Octets of the message as RFC 1870 counts them: line ends as CRLF, dots not doubled."""
        return sum(map(len, self.pieces(file)))

    def _octets(self, file: BinaryIO) -> Iterator[bytes]:
        yield self.header + b"\n"
        file.seek(self.body_at)
        if self.encoding == "base64":
            while octets := file.read(_BASE64_PIECE):
                yield base64.encodebytes(octets)
        elif self.encoding == "quoted-printable":
            carried = b""  # a CR at the end of a piece, which may be half of a CRLF
            while octets := file.readline(PIECE):
                line = (carried + octets).removesuffix(b"\n").removesuffix(b"\r")
                carried = b"\r" if octets.endswith(b"\r") else b""
                # A line that goes on in the next piece ends with a soft line break (RFC 2045 section 6.7, rule 5).
                yield _quoted_printable(line) + (b"\n" if octets.endswith(b"\n") else b"=\n")
            if carried:
                yield _quoted_printable(carried) + b"=\n"
        else:
            while octets := file.read(PIECE):
                yield octets


def _quoted_printable(line: bytes) -> bytes:
    # Not as text, so that a lone CR is encoded and not taken for a line end.
    return binascii.b2a_qp(line, istext=False)


def scan(file: BinaryIO) -> Scan:
    """Read the input once and say what it is."""
    file.seek(0)
    header, names = _header(file)
    body_at = file.tell()
    decoder = codecs.getincrementaldecoder("utf-8")()
    ascii_only, text, longest, line = True, True, 0, 0
    while octets := file.read(PIECE):
        ascii_only = ascii_only and octets.isascii()
        text = text and b"\0" not in octets and _is_utf8(decoder, octets)
        first, *rest = octets.split(b"\n")
        longest = max(longest, line + len(first), *map(len, rest))
        line = len(rest[-1]) if rest else line + len(first)
    return Scan(header, names, body_at, ascii_only, text and _is_utf8(decoder, b"", last=True), longest)


def _is_utf8(decoder: codecs.IncrementalDecoder, octets: bytes, *, last: bool = False) -> bool:
    try:
        decoder.decode(octets, last)
    except UnicodeDecodeError:
        return False
    return True


def _header(file: BinaryIO) -> tuple[bytes, frozenset[bytes]]:
    """The header at the start of the file and the names in it; the file stands at the body then.

    :raises MessageError: there is one, and it is too large.
    """
    octets = file.read(MAX_HEADER + 1)
    begin = top(octets)
    header = split(octets, begin, octets_at_most=MAX_HEADER - begin)
    if header.problem and (header.is_telling or is_telling_at(octets, header.body_at)):
        raise MessageError(f"the message's header has over {MAX_HEADER // 1024} KiB or {MAX_FIELDS} fields")
    ended = octets.endswith((b"\n\n", b"\n\r\n"), 0, header.body_at) or header.body_at == len(octets)
    if not (ended and header.is_telling):
        file.seek(len(codecs.BOM_UTF8) if octets.startswith(codecs.BOM_UTF8) else 0)
        return b"", frozenset()
    file.seek(header.body_at)
    kept = (field for field in header.fields if field.key.encode() not in _BLIND)
    names = frozenset(field.key.encode() for field in header.fields)
    return b"".join(octets[field.start : field.end] for field in kept), names


def compose(scanned: Scan, fields: Fields, *, eight_bit_offered: bool) -> ComposedMessage:
    """Add what the message lacks.

    :param eight_bit_offered: the server takes octets over 127 in the body; where it does not, text is encoded.
    :raises MessageError: a field is not one, or would be there twice.
    """
    encoding = _encoding(scanned, eight_bit_offered)
    extra = list(_extra(scanned.names, fields))
    names = scanned.names | {name.lower().encode() for name, _ in extra}
    added = [*_missing(names, fields), *(_field(*field) for field in extra), *_mime(scanned, encoding)]
    header = scanned.header
    if re.search(rb"\r(?!\n)", header):
        # It would end the line, and make a field, or a body, of what follows.
        raise MessageError("the message's header has a CR without LF in it")
    if header and not header.endswith(b"\n"):
        header += b"\n"
    try:
        header += "".join(f"{line}\n" for line in added).encode()
    except UnicodeEncodeError:
        raise MessageError("a header field holds octets that are not text") from None
    try:
        utf8_header = not header.decode().isascii()
    except UnicodeDecodeError:
        raise MessageError("the message's header is not UTF-8") from None
    if any(len(line.removesuffix(b"\r")) > MAX_TEXT_LINE for line in header.split(b"\n")):
        raise MessageError(f"a line of the header has over {MAX_TEXT_LINE} octets (RFC 5322 section 2.1.1): fold it")
    left = encoding in ("as-is", "8bit") and not scanned.ascii
    return ComposedMessage(header, scanned.body_at, encoding, left, utf8_header)


def _encoding(scanned: Scan, eight_bit_offered: bool) -> Encoding:
    if scanned.names & _MIME or (scanned.ascii and scanned.text and scanned.longest <= MAX_TEXT_LINE):
        return "as-is"
    if not scanned.text:
        return "base64"
    if scanned.longest <= MAX_TEXT_LINE and (eight_bit_offered or scanned.ascii):
        return "8bit"
    return "quoted-printable"


def _missing(names: frozenset[bytes], fields: Fields) -> Iterator[str]:
    domain = fields.sender.address.rpartition("@")[2]
    if b"date" not in names:
        yield f"Date: {formatdate(localtime=True)}"
    if b"from" not in names:
        yield f"From: {fields.sender}"
    if not names & {b"to", b"cc", b"bcc"}:
        # One a line: a line of the header has its limit too.
        yield "To: " + ",\n ".join(str(recipient) for recipient in fields.recipients)
    if fields.subject is not None:
        if b"subject" in names:
            raise MessageError("the message has a Subject already")
        yield _field("Subject", fields.subject)
    if b"message-id" not in names:
        # RFC 2606 keeps .invalid for names that must not be taken for real ones.
        yield f"Message-ID: {make_msgid(domain=domain if domain.isascii() and domain else 'correio.invalid')}"


def _extra(names: frozenset[bytes], fields: Fields) -> Iterator[tuple[str, str]]:
    given = set(names)
    for line in fields.extra:
        field = _FIELD_TEXT.fullmatch(line)
        if field is None:
            raise MessageError(f"a header field is Name: value, not {line!r}")
        name = field[1].lower().encode()
        if name in given & _ONCE:
            raise MessageError(f"the message has a {field[1]} already")
        if name in _BLIND:
            raise MessageError(f"everybody would read {field[1]}: whom it names is a further recipient, no field")
        if name in _MIME:
            raise MessageError(f"{field[1]} describes the text and belongs above it, in the message's own header")
        given.add(name)
        yield field[1], field[2]


def _field(name: str, value: str) -> str:
    if any(ord(character) < 32 and character != "\t" for character in value):
        raise MessageError(f"the {name} has a line end or another control character in it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MessageError(f"the {name} holds octets that are not text") from None
    charset = "us-ascii" if value.isascii() else "utf-8"
    return f"{name}: {Header(value, charset, header_name=name).encode()}"


def _mime(scanned: Scan, encoding: Encoding) -> Iterator[str]:
    if encoding == "as-is":
        return
    yield "MIME-Version: 1.0"
    yield f"Content-Type: {'text/plain; charset=utf-8' if scanned.text else 'application/octet-stream'}"
    yield f"Content-Transfer-Encoding: {encoding}"
