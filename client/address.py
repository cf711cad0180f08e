"""Addresses as the server tells them apart: what is one, and which two of them name the same mailbox.

Gives: `parse`, the two parts of an address in canonical form; `quoted`, a local part as it is written; `fold`, the
text by which mailboxes are the same. The rules are those of `wire/address.py`, said once more, for the client imports
nothing of the services; a test holds the two together.
Fails: `parse` with `AddressError`, which says the rule that is broken. `fold` never: what is no address is a text.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address

# RFC 5321 section 4.5.3.1: local part 64 octets, domain 255 octets; RFC 1035 section 2.3.4: label 63.
_MAX_LOCAL = 64
_MAX_DOMAIN = 255
_MAX_LABEL = 63

# RFC 5321 section 4.1.2 with the UTF-8 of RFC 6531 section 3.3.
_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]|[^\x00-\x7f\x80-\xa0\u2028\u2029\s]"
_DOT_STRING = re.compile(rf"(?:{_ATEXT})+(?:\.(?:{_ATEXT})+)*")
_QUOTED_STRING = re.compile(r'"((?:[ !#-\[\]-~]|[^\x00-\x7f\x80-\x9f]|\\[ -~])*)"')
_LET_DIG = r"(?:[A-Za-z0-9]|[^\x00-\x7f\x80-\xa0\u2028\u2029\s])"
_SUB_DOMAIN = rf"{_LET_DIG}(?:(?:{_LET_DIG}|-)*{_LET_DIG})?"
_DOMAIN = re.compile(rf"{_SUB_DOMAIN}(?:\.{_SUB_DOMAIN})*")
_IPV6 = "IPv6:"


class AddressError(ValueError):
    """Not an address; the text says which part breaks which rule."""


def parse(text: str) -> tuple[str, str]:
    """The local part, without quotes, and the domain, in lower case; both in Unicode normal form C.

    :raises AddressError: it is no `local@domain`.
    """
    if any(0xD800 <= ord(character) < 0xE000 for character in text):
        raise AddressError("an address is text, and this holds octets that are none")
    local, end = _parse_local(text)
    if text[end : end + 1] != "@":
        raise AddressError(_rule_behind(text, end))
    domain = text[end + 1 :]
    return local, _parse_literal(domain) if domain.startswith("[") else _parse_domain(domain)


def quoted(local: str) -> str:
    """A local part as it is written in an address: in quotes only where it needs them."""
    if _DOT_STRING.fullmatch(local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def fold(text: str) -> str:
    """What the addresses of one mailbox have in common: quotes that are not needed and letter case do not count."""
    try:
        local, domain = parse(text)
    except AddressError:
        return unicodedata.normalize("NFC", text).casefold()
    return f"{quoted(local)}@{domain}".casefold()


def _parse_local(text: str) -> tuple[str, int]:
    if in_quotes := _QUOTED_STRING.match(text):
        local, end = re.sub(r"\\(.)", r"\1", in_quotes[1]), in_quotes.end()
    elif atoms := _DOT_STRING.match(text):
        local, end = atoms[0], atoms.end()
    else:
        raise AddressError(_local_rule(text))
    local = unicodedata.normalize("NFC", local)
    if len(local.encode()) > _MAX_LOCAL:
        raise AddressError(f"the local part has over {_MAX_LOCAL} octets")
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


def _parse_domain(text: str) -> str:
    domain = unicodedata.normalize("NFC", text)
    if not _DOMAIN.fullmatch(domain):
        raise AddressError(_domain_rule(domain))
    if len(domain.encode()) > _MAX_DOMAIN:
        raise AddressError(f"the domain has over {_MAX_DOMAIN} octets")
    if any(len(label.encode()) > _MAX_LABEL for label in domain.split(".")):
        raise AddressError(f"the domain has a label over {_MAX_LABEL} octets")
    return domain.lower()


def _parse_literal(text: str) -> str:
    inner = text[1:-1] if text.endswith("]") else ""
    try:
        # IPv6-addr has no zone, as fe80::1%eth0 has.
        if inner[: len(_IPV6)].lower() == _IPV6.lower() and "%" not in inner:
            return f"[{_IPV6}{IPv6Address(inner[len(_IPV6) :])}]"
        return f"[{IPv4Address(inner)}]"
    except ValueError:
        raise AddressError("an address literal is [192.0.2.1] or [IPv6:2001:db8::1]") from None
