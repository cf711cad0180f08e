"""Paths, parameters and host names."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mail.address import Address, AddressError, parse
from session_worker.dialogue import grammar, transaction
from session_worker.dialogue.grammar import GrammarError
from session_worker.dialogue.transaction import Path

_atoms = st.text("abcXYZ019!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=10)
_dot_strings = st.lists(_atoms, min_size=1, max_size=3).map(".".join)
_quoted_texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=15)
_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_domains = st.lists(_labels, min_size=1, max_size=4).map(".".join) | st.just("[192.0.2.1]")
_addresses = st.builds(Address, _dot_strings | _quoted_texts, _domains)
_parameters = st.dictionaries(
    st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,8}", fullmatch=True),
    st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="=\x7f"), min_size=1),
    max_size=4,
)


@given(_addresses, st.lists(_labels, max_size=2), st.booleans(), _parameters)
def test_a_path_and_its_parameters_come_back_as_they_were_written(
    address: Address, route: list[str], bracketed: bool, parameters: dict[str, str | None]
) -> None:
    written = ",".join(f"@{host}" for host in route) + (":" if route else "") + str(address)
    words = [f"<{written}>" if bracketed else written]
    words += [keyword if value is None else f"{keyword}={value}" for keyword, value in parameters.items()]
    # Behind an address without its <> nothing can be told from the rest of an address.
    assume(bracketed or "<" not in " ".join(words[1:]))
    path, rest = transaction.path(" ".join(words))
    assert path == Path(str(address), bracketed, routed=bool(route))
    assert parse(path.text) == address
    assert grammar.parameters(rest) == parameters


@given(st.text(max_size=60) | st.text('<>@:,." \\ab[]=', max_size=30))
def test_garbage_raises_nothing_but_the_two_errors_of_the_client(text: str) -> None:
    for read in (transaction.path, parse, grammar.mailbox_or_local, grammar.parameters):
        with contextlib.suppress(GrammarError, AddressError):
            read(text)
    for strict in (False, True):
        with contextlib.suppress(GrammarError):
            grammar.host_name(text, strict=strict)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the address in <> is missing"),
        (" <a@b>", "the address in <> is missing"),
        ("<a@b", "the closing > is missing"),
        ('<"a@b>', "the quotes are not closed"),
        ('"a b@c', "the quotes are not closed"),
        ("<a@b>,<c@d>", "one command takes one address"),
        ("a@b>", "the opening < is missing"),
        ("<a@b>>", "a > too many"),
        ("<<a@b>>", "a < stands inside"),
        ("Ana <ana@b>", "no name before it"),
        ("Ana<ana@b>", "no name before it"),
        ("<a@b>x", "a blank must follow"),
        ('a@b"', "a blank must follow"),
    ],
)
def test_what_is_no_path_is_told(text: str, why: str) -> None:
    with pytest.raises(GrammarError, match=why):
        transaction.path(text)


@pytest.mark.parametrize("text", ["<@host>", "<@host,other:a@b>", "<@host,:a@b>", "<@-:a@b>"])
def test_what_is_no_source_route_is_a_bad_address(text: str) -> None:
    with pytest.raises(AddressError):
        transaction.path(text)


def test_the_null_path_is_a_path() -> None:
    assert transaction.path("<> SIZE=1") == (Path("", bracketed=True, routed=False), " SIZE=1")


def test_brackets_and_blanks_inside_quotes_end_nothing() -> None:
    assert transaction.path(r'<"> \" <"@b> X')[0].text == r'"> \" <"@b'
    assert transaction.path(r'"a b"@c X') == (Path('"a b"@c', bracketed=False, routed=False), " X")


def test_a_name_may_stand_without_domain_where_that_is_asked_for() -> None:
    assert grammar.mailbox_or_local("maria") == Address("maria", "")
    assert grammar.mailbox_or_local('"maria s"') == Address("maria s", "")
    assert grammar.mailbox_or_local("maria@b") == Address("maria", "b")


@pytest.mark.parametrize("text", [" =", " A=", " -A", " A==", " A=1 a=2", " é=1"])
def test_what_is_no_parameter_list_is_told(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.parameters(text)


@pytest.mark.parametrize(
    "name", ["my_laptop", "[192.0.2.1]", "EXAMPLE.org", "x" * 255, "a b", "(none)", "é", "[::1]"]
)
def test_a_friendly_server_takes_any_name_for_a_host(name: str) -> None:
    assert grammar.host_name(name, strict=False) == name


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128])
@pytest.mark.parametrize("strict", [False, True])
def test_no_name_of_a_host_is_longer_than_a_domain(name: str, strict: bool) -> None:
    with pytest.raises(GrammarError, match="at most 255 octets"):
        grammar.host_name(name, strict=strict)


def test_a_name_that_is_a_domain_is_so_whatever_the_letter_case() -> None:
    assert grammar.domain_of("Example.ORG") == "example.org"
    assert grammar.domain_of("[IPv6:2001:DB8:0::1]") == "[IPv6:2001:db8::1]"


@pytest.mark.parametrize(
    "name",
    ["my_laptop", "example.org.", "a..b", "-x-", "[::1]", "host:25", "a b", "(none)", "bücher.de", "x" * 64, ""],
)
def test_a_name_that_is_no_domain_is_none(name: str) -> None:
    assert grammar.domain_of(name) == ""


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("www-data@Web_1", Address("www-data", "web_1")),
        ("a@_srv._tcp.example", Address("a", "_srv._tcp.example")),
        ('"a@b_"@c_', Address("a@b_", "c_")),
        ("a_b@c", Address("a_b", "c")),
    ],
)
def test_a_friendly_server_takes_a_sender_with_underscores(text: str, sender: Address) -> None:
    assert grammar.sender(text, strict=False) == sender
    if "_" in sender.domain:
        with pytest.raises(AddressError, match="'_' is none"):
            grammar.sender(text, strict=True)


@pytest.mark.parametrize(
    "text", ["a b@c_d", "a@c_d..e", "a@-c_", "a@_ b", "@_", "_", "a@bü_cher", "a@[_]", "a@" + "_" * 64]
)
def test_an_underscore_excuses_nothing_else(text: str) -> None:
    with pytest.raises(AddressError):
        grammar.sender(text, strict=False)


@pytest.mark.parametrize("text", ['"' * 2000, "<" + '"a' * 1000, '"\\' * 1000, "<" + "@a," * 600, "A=" * 1000])
def test_hostile_lines_take_no_time(text: str) -> None:
    begin = time.perf_counter()
    for read in (transaction.path, grammar.parameters, grammar.mailbox_or_local):
        with contextlib.suppress(GrammarError, AddressError):
            read(text)
    assert time.perf_counter() - begin < 0.5
