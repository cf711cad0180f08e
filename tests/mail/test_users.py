"""Entries of users files, and what mailboxes and their files are called. tests/mailbox_store has whole files."""

from __future__ import annotations

import pytest

from mail.address import Address, AddressError
from mail.users import file_name, mailboxes_of, parse_entry


@pytest.mark.parametrize(
    ("entry", "address", "mailbox"),
    [
        ("Ana@Example.org", Address("Ana", "example.org"), "ana@example.org"),
        ("ana@example.org # a comment", Address("ana", "example.org"), "ana@example.org"),
        ("a#b@example.org", Address("a#b", "example.org"), "a#b@example.org"),
        ('"a #b"@example.org', Address("a #b", "example.org"), '"a #b"@example.org'),
        ("*@Example.org", Address("", "example.org"), "*@example.org"),
        ("*@*  # all", Address("", ""), "*@*"),
    ],
)
def test_an_entry_names_an_address_and_its_mailbox(entry: str, address: Address, mailbox: str) -> None:
    assert parse_entry(entry) == (address, mailbox)


@pytest.mark.parametrize("entry", ["", "ana", "ana@", "*@a b", "# comment", "ana@example.org, bo@example.org"])
def test_what_is_no_entry_is_refused(entry: str) -> None:
    with pytest.raises(AddressError):
        parse_entry(entry)


def test_a_file_is_named_after_its_mailbox() -> None:
    assert file_name("*@example.org") == "*@example.org.txt"


@pytest.mark.parametrize("mailbox", ["a/b@c", ".a@c", "a\0@c", "a" * 252, "é" * 126, "\udcff" * 252])
def test_no_mailbox_leads_out_of_the_folder_or_hides_in_it_or_has_too_long_a_name(mailbox: str) -> None:
    with pytest.raises(AddressError, match="name"):
        file_name(mailbox)
    assert file_name("a" * 251)


@pytest.mark.parametrize(
    ("address", "mailboxes"),
    [
        ("Ana@Example.org", ["ana@example.org", "*@example.org", "*@*"]),
        ("ana+shop+1@example.org", ["ana+shop+1@example.org", "ana@example.org", "*@example.org", "*@*"]),
        ("+tag@example.org", ["+tag@example.org", "*@example.org", "*@*"]),
        ("*@example.org", ["*@example.org", "*@*"]),
        ('"ana+shop"@example.org', ["ana+shop@example.org", "ana@example.org", "*@example.org", "*@*"]),
        ('"a @+b"@example.org', ['"a @+b"@example.org', '"a @"@example.org', "*@example.org", "*@*"]),
        ("ana", ["ana"]),
        ("", [""]),
    ],
)
def test_an_address_s_mail_is_in_the_first_of_these_that_there_is(address: str, mailboxes: list[str]) -> None:
    assert list(mailboxes_of(address)) == mailboxes
