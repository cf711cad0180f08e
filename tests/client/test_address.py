"""Addresses of the client are those of the services."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wire.address
from client.address import AddressError, fold, parse, quoted

pieces = st.sampled_from(
    [*'aB.@"\\ #*+/-éßİ[]', "e\u0301", "\u2028", "\x85", "\0", "x.org", "[192.0.2.1]", "[IPv6:2001:DB8::1]", "x" * 60]
)
texts = st.text(max_size=20) | st.lists(pieces, max_size=8).map("".join)
addresses = st.tuples(texts, st.sampled_from(["x.org", "Ex\u00e4mple.ORG", "[::1]"])).map("@".join)


@given(texts | addresses)
@example('"bob"@x.org')
@example('"b ob"@X.org')
@example("[IPv6:2001:db8::1]@[IPv6:2001:DB8::1]")
def test_the_services_have_the_same_rules(text: str) -> None:
    assert ours(text) == theirs(text)


def ours(text: str) -> tuple[str, ...]:
    try:
        local, domain = parse(text)
    except AddressError as error:
        return (str(error),)
    return local, domain, quoted(local), fold(text)


def theirs(text: str) -> tuple[str, ...]:
    try:
        address = wire.address.parse(text)
    except wire.address.AddressError as error:
        return (str(error),)
    return address.local, address.domain, wire.address.quote(address.local), address.fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"bob"@x.org', "bob@X.org"),
        ('"b\\ob"@x.org', "Bob@x.org"),
        ("jose\u0301@x", "Jos\u00e9@x"),
        ("a@[IPv6:::0]", "a@[ipv6:0::]"),
        ("no address", "No Address"),
    ],
)
def test_two_ways_to_write_an_address_are_one_mailbox(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_octets_that_are_no_text_are_no_address() -> None:
    with pytest.raises(AddressError, match="octets that are none"):
        parse("a\udcff@x.org")
    assert fold("a\udcff@x.org") == "a\udcff@x.org"
