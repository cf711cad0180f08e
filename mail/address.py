"""Addresses: what counts as one, its canonical form, and when two of them name the same mailbox.

An address is `local@domain`. Canonical means: a quoted local part is unquoted where it needs no quotes, the domain
is in lower case, text is in Unicode normal form C. Two addresses name the same mailbox when their `fold` is equal.

Parsing here covers RFC 5321 section 4.1.2 `Mailbox` (Dot-string, Quoted-string, Domain, address-literal) with the
RFC 6531 section 3.3 extension to UTF-8. SMTP paths (`<@route:a@b>`) and command syntax are the dialogue's.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

# RFC 5321 section 4.5.3.1: local part 64 octets, domain 255 octets; RFC 1035 section 2.3.4: label 63.
MAX_LOCAL = 64
MAX_DOMAIN = 255
MAX_LABEL = 63

# RFC 5322 section 3.2.3 atext, plus RFC 6531 section 3.3 UTF8-non-ascii (no control characters, no blanks)
_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]|[^\x00-\x7f\x80-\xa0\u2028\u2029\s]"
# Dot-string = Atom *("." Atom)
_DOT_STRING = re.compile(rf"(?:{_ATEXT})+(?:\.(?:{_ATEXT})+)*")
# Quoted-string = DQUOTE *QcontentSMTP DQUOTE;  QcontentSMTP = qtextSMTP / quoted-pairSMTP
# qtextSMTP = %d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii;  quoted-pairSMTP = %d92 %d32-126
_QUOTED_STRING = re.compile(r'"((?:[ !#-\[\]-~]|[^\x00-\x7f\x80-\x9f]|\\[ -~])*)"')
# sub-domain = Let-dig [Ldh-str] / U-label;  Domain = sub-domain *("." sub-domain)
_LET_DIG = r"(?:[A-Za-z0-9]|[^\x00-\x7f\x80-\xa0\u2028\u2029\s])"
_SUB_DOMAIN = rf"{_LET_DIG}(?:(?:{_LET_DIG}|-)*{_LET_DIG})?"
_DOMAIN = re.compile(rf"{_SUB_DOMAIN}(?:\.{_SUB_DOMAIN})*")
_IPV6 = "IPv6:"


class AddressError(ValueError):
    """Not an address; the text says which part breaks which rule."""


class Address(NamedTuple):
    """A mailbox's address in canonical form; `local` is without quotes, `domain` in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{quote(self.local)}@{self.domain}"

    @property
    def fold(self) -> str:
        """The text by which mailboxes are the same: letter case folded."""
        return folded(self.local, self.domain)

    @property
    def is_ascii(self) -> bool:
        return self.local.isascii() and self.domain.isascii()


def folded(local: str, domain: str) -> str:
    """The fold of an address of these parts."""
    return f"{quote(local)}@{domain}".casefold()


def fold(text: str) -> str:
    """The fold of an address; of what is none, such as `postmaster` alone, the text with its letter case folded."""
    try:
        return parse(text).fold
    except AddressError:
        return unicodedata.normalize("NFC", text).casefold()


def quote(local: str) -> str:
    """The local part as it is written in an address: quoted if it is not a Dot-string."""
    if _DOT_STRING.fullmatch(local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def without_tag(local: str) -> str:
    """A local part without its `+tag`; where nothing would be left, as it is."""
    return local.partition("+")[0] or local


# Senders and recipients come again and again; a text is at most a line long, so this holds some 2 MiB at most.
@lru_cache(maxsize=1024)
def parse(text: str) -> Address:
    """Parse `local@domain` (RFC 5321 Mailbox, RFC 6531 UTF-8).

    :raises AddressError: with the rule that is broken.
    """
    try:
        local, end = _parse_local(text)
        if text[end : end + 1] != "@":
            raise AddressError(_rule_behind(text, end))
        return Address(local, parse_domain(text[end + 1 :]))
    except UnicodeEncodeError:
        raise AddressError("an address is text, and this holds octets that are none") from None


def parse_local(text: str) -> str:
    """Parse a local part alone, quoted or not; gives it back unquoted.

    :raises AddressError: with the rule that is broken.
    """
    local, end = _parse_local(text)
    if end != len(text):
        raise AddressError(f"the local part has a character that needs quotes: {text[end]!r}")
    return local


def _parse_local(text: str) -> tuple[str, int]:
    if quoted := _QUOTED_STRING.match(text):
        local, end = re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
    elif atoms := _DOT_STRING.match(text):
        local, end = atoms[0], atoms.end()
    else:
        raise AddressError(_local_rule(text))
    local = unicodedata.normalize("NFC", local)
    if len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"the local part has over {MAX_LOCAL} octets")
    return local, end


def _local_rule(text: str) -> str:
    """The rule that a text without a local part at its beginning breaks."""
    if text[:1] in ("", "@"):
        return "the local part, before the @, is missing"
    if text.startswith('"'):
        return "the quotes of the local part, before the @, are not closed, or hold what cannot stand in them"
    if text.startswith("."):
        return "the local part, before the @, begins with a dot, which needs quotes"
    return f"the local part, before the @, has a character that needs quotes: {text[0]!r}"


def _rule_behind(text: str, end: int) -> str:
    """The rule that a text breaks whose local part ends at `end`, where no @ is."""
    if "@" not in text[end:]:
        return "an address is local-part@domain; the @ is missing"
    if text[end - 1] == '"':
        return "between the closing quote of the local part and the @ nothing can stand"
    if text[end] == ".":
        return "the local part, before the @, has two dots in a row or one at its end, which need quotes"
    return f"the local part, before the @, has a character that needs quotes: {text[end]!r}"


def _domain_rule(domain: str) -> str:
    """The rule that a text which is no domain breaks."""
    labels = domain.split(".")
    if not domain:
        broken = "there is none"
    elif "" in labels:
        broken = "a dot stands between two labels only"
    elif any(label.startswith("-") or label.endswith("-") for label in labels):
        broken = "a hyphen stands within a label only"
    else:
        strange = next(each for each in domain if each not in ".-" and not re.fullmatch(_LET_DIG, each))
        broken = f"{strange!r} is none of these"
    return f"the domain must be labels of letters, digits and hyphens, joined by dots: {broken}"


@lru_cache(maxsize=1024)
def parse_domain(text: str) -> str:
    """Parse a domain or an address literal (`[192.0.2.1]`, `[IPv6:2001:db8::1]`); gives it back in lower case.

    :raises AddressError: with the rule that is broken.
    """
    if text.startswith("["):
        return parse_literal(text)
    domain = unicodedata.normalize("NFC", text)
    if not _DOMAIN.fullmatch(domain):
        raise AddressError(_domain_rule(domain))
    if len(domain.encode()) > MAX_DOMAIN:
        raise AddressError(f"the domain has over {MAX_DOMAIN} octets")
    if any(len(label.encode()) > MAX_LABEL for label in domain.split(".")):
        raise AddressError(f"the domain has a label over {MAX_LABEL} octets")
    return domain.lower()


def parse_literal(text: str) -> str:
    """Parse an address literal (RFC 5321 section 4.1.3), brackets included.

    :raises AddressError: where it is not a well-formed IPv4 or IPv6 literal.
    """
    inner = text[1:-1] if text.endswith("]") else ""
    try:
        # IPv6-addr has no zone, as fe80::1%eth0 has.
        if inner[: len(_IPV6)].lower() == _IPV6.lower() and "%" not in inner:
            return f"[{_IPV6}{IPv6Address(inner[len(_IPV6) :])}]"
        return f"[{IPv4Address(inner)}]"
    except ValueError:
        raise AddressError("an address literal is [192.0.2.1] or [IPv6:2001:db8::1]") from None
