"""The grammar of parameters and names in commands, and which rule a path breaks; expressions stand under their ABNF.

Pure functions from text to values. What breaks the form of a command raises `GrammarError`, what breaks the form of
an address in it raises `mail.address.AddressError`: the replies differ. Whether a deviation that is understood is
also tolerated is for the caller.

Input is text without control characters. Expressions that repeat are possessive, so that time is linear.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mail import address
from mail.address import Address, AddressError

# RFC 5321 section 4.1.2 Quoted-string; what it may hold is checked when the address is parsed.
QUOTED = r'"(?:[^"\\]|\\.)*+"'
# RFC 5321 section 4.1.2: esmtp-param = esmtp-keyword ["=" esmtp-value]
# esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-"); esmtp-value = 1*(%d33-60 / %d62-126), to which RFC 6531
# section 3.3 adds UTF8-non-ascii.
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~\x80-\U0010ffff]++))?")
_QUOTED_TEXT = re.compile(QUOTED)

# Of a word that is no parameter so many characters are shown.
_SHOWN = 40
# RFC 5321 section 4.5.1: the one mailbox that needs no domain.
POSTMASTER = "postmaster"


class GrammarError(ValueError):
    """The command does not have its form; the text says which part breaks it."""


def no_path(text: str, *, bracketed: bool) -> str:
    """The rule that is broken by what is no path."""
    unquoted = _QUOTED_TEXT.sub("", text)
    if '"' in unquoted:
        return "the quotes are not closed"
    if not bracketed:
        return "the address in <> is missing"
    return "the closing > is missing" if "<" not in unquoted[1:] else "a < stands inside the <>"


def rule_behind_path(rest: str, *, bracketed: bool) -> str:
    """The rule that is broken by what follows a path."""
    if rest.startswith(","):
        return "one command takes one address, and the next one has a command of its own"
    if rest.startswith(">"):
        return "there is a > too many" if bracketed else "the opening < is missing"
    if "<" in rest:
        return "nothing but the address in <> stands there, no name before it"
    return "a blank must follow the address"


def without_route(text: str) -> str:
    """The mailbox of a path that begins with a source route.

    :raises AddressError: where the route is none.
    """
    # A-d-l = At-domain *( "," At-domain );  At-domain = "@" Domain
    route, colon, mailbox = text.partition(":")
    if not colon:
        raise AddressError("the part before the @ is missing")
    for at_domain in route.split(","):
        if not at_domain.startswith("@"):
            raise AddressError("a source route is @host,@host: before the address")
        address.parse_domain(at_domain[1:])
    return mailbox


def sender(text: str, *, strict: bool) -> Address:
    """The address of a sender, in canonical form.

    :param strict: false takes underscores in its domain, as containers and Windows hosts have them in their names.
    :raises AddressError: naming the rule that is broken.
    """
    try:
        return address.parse(text)
    except AddressError:
        before, at, domain = text.rpartition("@")
        if strict or "_" not in domain or not domain.isascii():
            raise
        # Where a letter in its place would do, so does an underscore.
        return Address(address.parse(before + at + domain.replace("_", "x")).local, domain.lower())


def mailbox_or_local(text: str) -> Address:
    """An address, or a local part alone, which gets the domain "".

    :raises AddressError: naming the rule that is broken.
    """
    try:
        return Address(address.parse_local(text), "")
    except AddressError:
        return address.parse(text)


def parameters(text: str) -> dict[str, str | None]:
    """The parameters after a path: keyword in capitals → value, None where there is none.

    :raises GrammarError: where one has not the form KEYWORD or KEYWORD=value, or comes twice.
    """
    found: dict[str, str | None] = {}
    for word in text.split(" "):
        if not word:
            continue
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None:
            raise GrammarError(f'"{word[:_SHOWN]}" behind the address is no parameter, KEYWORD or KEYWORD=value')
        keyword = parameter[1].upper()
        if keyword in found:
            raise GrammarError(f"the parameter {keyword} comes twice")
        found[keyword] = parameter[2]
    return found


def host_name(text: str, *, strict: bool) -> str:
    """The argument of HELO and EHLO: a domain or an address literal (RFC 5321 section 4.1.1.1).

    :param strict: false takes whatever machines call themselves: `my_host`, `(none)`, `Ana's PC`.
    :raises GrammarError: naming the rule that is broken.
    """
    if len(text.encode()) > address.MAX_DOMAIN:
        raise GrammarError(f"a name has at most {address.MAX_DOMAIN} octets")
    if strict and not text.isascii():
        raise GrammarError("a host name is ASCII: write its xn-- form (RFC 6531 section 3.7.1)")
    if strict:
        try:
            address.parse_domain(text)
        except AddressError as error:
            raise GrammarError(str(error)) from None
    return text


# The names of clients come again and again; one is a line long at most.
@lru_cache(maxsize=1024)
def domain_of(name: str) -> str:
    """The domain or address literal that a name of HELO or EHLO is, in canonical form; "" for one that is none."""
    try:
        return address.parse_domain(name) if name.isascii() else ""
    except AddressError:
        return ""
