"""Addresses: the canonical form, what is refused, and that writing one and reading it back changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mail.address import Address, AddressError, fold, parse, parse_domain, parse_local, quote


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("maria@example.com", "maria", "example.com"),
        ("Maria.Silva+x@Example.COM", "Maria.Silva+x", "example.com"),
        ('"maria"@example.com', "maria", "example.com"),
        ('"a b"@c', "a b", "c"),
        (r'"a\"b\\c"@example.com', r'a"b\c', "example.com"),
        ('""@example.com', "", "example.com"),
        ('"a@b"@example.com', "a@b", "example.com"),
        ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~", "example.com"),
        ("joão@exemplo.com.br", "joão", "exemplo.com.br"),
        ("jo\u0061\u0303o@x.com", "joão", "x.com"),
        ("用户@例子.广告", "用户", "例子.广告"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:DB8::1]", "a", "[IPv6:2001:db8::1]"),
        ("a@localhost", "a", "localhost"),
        ("a@xn--exmplo-qta.com", "a", "xn--exmplo-qta.com"),
    ],
)
def test_an_address_is_read_into_its_canonical_form(text: str, local: str, domain: str) -> None:
    assert parse(text) == Address(local, domain)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "before the @"),
        ("maria", "the @ is missing"),
        ("@example.com", "before the @"),
        ("maria@", "labels of letters.*: there is none"),
        (".maria@example.com", "begins with a dot"),
        ("maria.@example.com", "two dots in a row or one at its end"),
        ("ma ria@example.com", "needs quotes: ' '"),
        ("ma ria", "the @ is missing"),
        ("ma..ria@example.com", "two dots in a row"),
        (" maria@example.com", "needs quotes: ' '"),
        ("<maria@example.com", "needs quotes: '<'"),
        ('"maria@example.com', "quotes of the local part, before the @, are not closed"),
        ('"a\nb"@example.com', "hold what cannot stand in them"),
        ('"a"b@example.com', "between the closing quote"),
        ("maria@exa mple.com", "labels of letters.*: ' ' is none"),
        ("maria@-example.com", "labels of letters.*: a hyphen"),
        ("maria@example-.com", "labels of letters.*: a hyphen"),
        ("maria@example..com", "labels of letters.*: a dot"),
        ("maria@.example.com", "labels of letters.*: a dot"),
        ("maria@example.com.", "labels of letters.*: a dot"),
        ("maria@example.com\n", "labels of letters.*n' is none"),
        ("maria@exam_ple.com", "labels of letters.*: '_' is none"),
        ("maria@ex\u2028ample.com", "labels of letters.*u2028' is none"),
        ("a@b@c", "labels of letters.*: '@' is none"),
        ("a@b:25", "labels of letters.*: ':' is none"),
        ("a@[IPv6:fe80::1%eth0]", "address literal"),
        ("a@[300.1.1.1]", "address literal"),
        ("a@[192.0.2.1", "address literal"),
        ("a@[IPv6:zz]", "address literal"),
        ("a@[2001:db8::1]", "address literal"),
        ("x" * 65 + "@example.com", "over 64 octets"),
        ("é" * 33 + "@example.com", "over 64 octets"),
        ("a@" + "x" * 64 + ".com", "a label over 63"),
        ("a@" + ".".join(["x" * 50] * 6), "over 255 octets"),
        ("a\x7fb@example.com", "x7f"),
        ("a\u2028b@example.com", "u2028"),
        ("a\xa0b@example.com", "xa0"),
    ],
)
def test_what_is_no_address_is_refused_with_the_rule(text: str, rule: str) -> None:
    with pytest.raises(AddressError, match=rule):
        parse(text)


@pytest.mark.parametrize(("text", "local"), [("postmaster", "postmaster"), ('"a b"', "a b")])
def test_a_local_part_alone_is_read(text: str, local: str) -> None:
    assert parse_local(text) == local


def test_a_local_part_with_a_rest_is_refused() -> None:
    with pytest.raises(AddressError, match="needs quotes: '@'"):
        parse_local("a@b")


locals_ = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40) | st.from_regex(
    r"[a-zA-Zé用0-9+._-]{1,20}", fullmatch=True
)
domains = st.from_regex(
    r"([a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?){0,3}", fullmatch=True
)


@given(locals_, domains)
@example("", "x")
@example('"\\', "x")
def test_an_address_written_and_read_back_is_the_same(local: str, domain: str) -> None:
    address = Address(local, domain)
    assert parse(str(address)) == address
    assert parse_local(quote(local)) == local


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    try:
        address = parse(text)
    except AddressError:
        return
    assert parse(str(address)) == address
    assert not any(mark in str(address) for mark in "\r\n\0")


@given(domains)
def test_letter_case_of_a_domain_does_not_count(domain: str) -> None:
    assume(domain)
    assert parse_domain(domain.upper()) == domain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MARIA@Example.com", '"maria"@EXAMPLE.COM'),
        ("STRASSE@x.com", "straße@x.com"),
        ('"b\\ob"@x.org', "Bob@x.org"),
        ("jose\u0301@x", "Jos\u00e9@x"),
        ("a@[IPv6:::0]", "a@[ipv6:0::]"),
        ("no address", "No Address"),
        ("jose\u0301", "Jos\u00e9"),
    ],
)
def test_two_ways_to_write_an_address_are_one_mailbox(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_octets_that_are_no_text_are_no_address() -> None:
    for text in ("a\udcff@x.org", "a@x\udcff.org"):
        with pytest.raises(AddressError, match="octets that are none"):
            parse(text)
        assert fold(text) == text


def test_an_address_knows_whether_it_needs_smtputf8() -> None:
    assert parse("a@example.com").is_ascii
    assert not parse("joão@example.com").is_ascii
    assert not parse("a@exemplò.com").is_ascii
