"""The users file's text and the look-up of addresses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_store.users.directory import Users
from mailbox_store.users.parsing import UsersError, parse_users
from wire.outcomes import Found, NoSuchUser, NotOurDomain

TEXT = b"""\xef\xbb\xbf# people
Ana@Example.org
  bob@example.org  # with a comment\r

bob@other.example
"a b"@example.org
x#y@example.org
*@catch.example
"""
USERS = parse_users(TEXT, "users.txt", "home.example")


def _error(text: bytes, postmaster: str = "") -> str:
    with pytest.raises(UsersError) as caught:
        parse_users(text, "users.txt", "home.example", postmaster)
    return str(caught.value)


def test_a_line_for_all_takes_what_no_other_line_takes() -> None:
    users = parse_users(TEXT + b"*@*\n", "users.txt", "home.example")
    assert users.mailboxes[-1] == "*@*"
    assert users.domains == USERS.domains
    for local, domain, mailbox in (
        ("ana+list", "example.org", "ana@example.org"),
        ("who", "catch.example", "*@catch.example"),
        ("who", "example.org", "*@*"),
        ("who", "elsewhere.example", "*@*"),
        ("*", "elsewhere.example", "*@*"),
        ("postmaster", "example.org", "ana@example.org"),
        ("postmaster", "elsewhere.example", "*@*"),
        ("", "[192.0.2.1]", "*@*"),
    ):
        assert users.lookup(local, domain) == Found(mailbox)
    assert users.lookup("who", "") == NoSuchUser()
    alone = parse_users(b"*@* # all of them", "users.txt", "home.example")
    assert (alone.mailboxes, alone.postmaster) == (("*@*",), "*@*")
    assert parse_users(b"a@b\n*@*", "users.txt", "c", "*@*").postmaster == "*@*"


@pytest.mark.parametrize("line", ["*@*.example", "*@", "*", "**@*", "*@* x"])
def test_a_line_that_is_nearly_for_all_is_told(line: str) -> None:
    assert _error(line.encode()).startswith(f"users.txt:1: {line}: ")


def test_comments_blanks_mark_and_line_ends_do_not_count() -> None:
    assert USERS.mailboxes == (
        "ana@example.org",
        "bob@example.org",
        "bob@other.example",
        '"a b"@example.org',
        "x#y@example.org",
        "*@catch.example",
    )


@pytest.mark.parametrize(
    ("local", "domain", "outcome"),
    [
        ("Ana", "example.org", Found("ana@example.org")),
        ("ANA", "example.org", Found("ana@example.org")),
        ("ana+list", "example.org", Found("ana@example.org")),
        ("ana+", "example.org", Found("ana@example.org")),
        ("+ana", "example.org", NoSuchUser()),
        ("a b", "example.org", Found('"a b"@example.org')),
        ("who", "example.org", NoSuchUser()),
        ("ana", "elsewhere.example", NotOurDomain()),
        ("ana", "home.example", NotOurDomain()),
        ("who", "catch.example", Found("*@catch.example")),
        ("PostMaster", "", Found("ana@example.org")),
        ("postmaster", "home.example", Found("ana@example.org")),
        ("postmaster", "example.org", Found("ana@example.org")),
        ("postmaster", "catch.example", Found("ana@example.org")),
        ("postmaster", "elsewhere.example", NotOurDomain()),
        ("ana", "", Found("ana@example.org")),
        ("bob", "", NoSuchUser()),
        ("who", "", NoSuchUser()),
    ],
)
def test_an_address_is_looked_up(local: str, domain: str, outcome: object) -> None:
    assert USERS.lookup(local, domain) == outcome


def test_a_listed_postmaster_is_found_before_the_default() -> None:
    users = parse_users(b"ana@example.org\npostmaster@example.org\n", "u", "home.example")
    assert users.lookup("Postmaster", "example.org") == Found("postmaster@example.org")
    assert users.lookup("postmaster", "") == Found("postmaster@example.org")


def test_the_setting_names_who_gets_the_postmaster_s_mail() -> None:
    users = parse_users(TEXT, "u", "home.example", "Bob@other.example")
    assert users.lookup("postmaster", "") == Found("bob@other.example")
    assert _error(b"a@b\n", "c@d") == "POSTMASTER=c@d: there is no such user in users.txt"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (b"", "users.txt: there is no user"),
        (b"# a@b\n\n", "users.txt: there is no user"),
        (b"a@b\n\nbruno\n", "users.txt:3: bruno: "),
        (b"a@b\nA@B\n", "users.txt:2: A@B: the same mailbox as on line 1"),
        (b"../../etc/x@b\n", "users.txt:1: "),
        (b"a/b@c\n", "users.txt:1: a/b@c: 'a/b@c.txt' cannot be"),
        (b"a@b\njos\xe9@b\n", "users.txt:2: the line is not UTF-8"),
        (b"a" * 60 + b"@" + b".".join([b"d" * 60] * 4) + b"\n", "users.txt:1: "),
        (b"*@\n", "users.txt:1: *@: "),
    ],
)
def test_a_broken_rule_is_told_with_its_line(text: bytes, start: str) -> None:
    assert _error(text).startswith(start)


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.lists(st.sampled_from([b"a@b", b"\n", b"/", b'"', b"#", b"\xff"])).map(b"".join)
)
def test_no_octets_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(UsersError):
        users = parse_users(data, "users.txt", "home.example")
        assert isinstance(users, Users)
        assert all("/" not in name and not name.startswith(".") for name in users.mailboxes)
