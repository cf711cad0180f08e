"""The grammar of paths, parameters and names in commands; each expression stands under its ABNF rule.

Pure functions from text to values. What breaks the form of a command raises `GrammarError`, what breaks the form of
an address in it raises `wire.address.AddressError`: the replies differ. Whether a deviation that is understood is
also tolerated is for the caller: a `Path` tells what it was like.

Input is text without control characters. Expressions that repeat are possessive, so that time is linear.
"""

from __future__ import annotations

import re

from wire import address
from wire.address import Address, AddressError
from wire.records import Record

# RFC 5321 section 4.1.2 Quoted-string; what it may hold is checked when the address is parsed.
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
# RFC 5321 section 4.1.2: Path = "<" [ A-d-l ":" ] Mailbox ">"
_PATH = re.compile(rf'<((?:[^"<>]|{_QUOTED})*+)>')
# The same without its brackets ends at a blank.
_BARE_PATH = re.compile(rf'((?:[^" <>]|{_QUOTED})++)')
# RFC 5321 section 4.1.2: esmtp-param = esmtp-keyword ["=" esmtp-value]
# esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-"); esmtp-value = 1*(%d33-60 / %d62-126), to which RFC 6531
# section 3.3 adds UTF8-non-ascii.
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~\x80-\U0010ffff]++))?")
# What people and careless programs send for a host name: visible ASCII, but none of the characters that would end
# or quote something in a Received: header (RFC 5322 section 3.2.3 specials).
_LOOSE_NAME = re.compile(r'(?:(?![()<>,;"\\])[!-~]){1,255}')

# RFC 5321 section 4.5.1: the one mailbox that needs no domain.
POSTMASTER = "postmaster"


class GrammarError(ValueError):
    """The command does not have its form; the text says which part breaks it."""


class Path(Record):
    """A reverse-path or forward-path.

    `text` is the mailbox as it was given, "" for the null path; `bracketed`: it stood in `<>`; `routed`: a source
    route stood before it and is dropped (RFC 5321 appendix C).
    """

    text: str
    bracketed: bool
    routed: bool


def path(text: str) -> tuple[Path, str]:
    """Take a path off the beginning of an argument; gives it and what follows, the blank before it included.

    :raises GrammarError: where no path can be seen.
    :raises AddressError: where the source route is not one.
    """
    bracketed = text.startswith("<")
    found = (_PATH if bracketed else _BARE_PATH).match(text)
    if found is None:
        raise GrammarError("the closing > is missing" if bracketed else "the address in <> is missing")
    rest = text[found.end() :]
    if rest and not rest.startswith(" "):
        raise GrammarError("a blank must follow the address")
    mailbox, routed = _without_route(found[1])
    return Path(mailbox, bracketed, routed), rest


def _without_route(text: str) -> tuple[str, bool]:
    # A-d-l = At-domain *( "," At-domain );  At-domain = "@" Domain
    if not text.startswith("@"):
        return text, False
    route, colon, mailbox = text.partition(":")
    if not colon:
        raise AddressError("the part before the @ is missing")
    for at_domain in route.split(","):
        if not at_domain.startswith("@"):
            raise AddressError("a source route is @host,@host: before the address")
        address.parse_domain(at_domain[1:])
    return mailbox, True


def mailbox(text: str) -> Address:
    """An address with its domain, in canonical form.

    :raises AddressError: naming the rule that is broken.
    """
    return address.parse(text)


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
            raise GrammarError("a parameter is KEYWORD or KEYWORD=value")
        keyword = parameter[1].upper()
        if keyword in found:
            raise GrammarError(f"the parameter {keyword} comes twice")
        found[keyword] = parameter[2]
    return found


def host_name(text: str, *, strict: bool) -> str:
    """The argument of HELO and EHLO: a domain or an address literal (RFC 5321 section 4.1.1.1).

    :param strict: false takes any visible ASCII that does no harm in a header, such as a name with underscores.
    :raises GrammarError: where it is neither.
    """
    if not text.isascii():
        raise GrammarError("a host name is ASCII: write its xn-- form (RFC 6531 section 3.7.1)")
    if strict:
        try:
            address.parse_domain(text)
        except AddressError as error:
            raise GrammarError(str(error)) from None
    elif not _LOOSE_NAME.fullmatch(text):
        raise GrammarError("the name must be one word, as in example.org or [192.0.2.1]")
    return text


def same_domain(name: str, domain: str) -> bool:
    """Whether a host name as given is this canonical domain, whatever the letter case."""
    try:
        return address.parse_domain(name) == domain
    except AddressError:
        return name.lower() == domain
