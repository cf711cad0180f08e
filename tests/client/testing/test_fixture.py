"""The users file as the client reads it and adds to it: the store has to agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mail.address import AddressError
from client.testing.fixture import add_user, users
from mailbox_store.users.parsing import parse_users

FIRST = "\ufeff# of the course\n\nAna@example.com  # the first\r\na#b@example.com\n*@catch.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "users.txt"
    found.write_bytes(FIRST.encode())
    return found


def mailboxes(path: Path) -> list[str]:
    """As the store reads them."""
    return [f"{name}.txt" for name in parse_users(path.read_bytes(), "users.txt", "home.example").mailboxes]


def test_its_entries_are_told_by_the_names_of_their_files(path: Path) -> None:
    assert users(path) == {
        "ana@example.com.txt": "Ana@example.com",
        "a#b@example.com.txt": "a#b@example.com",
        "*@catch.example.txt": "*@catch.example",
    }
    assert list(users(path)) == mailboxes(path)


@pytest.mark.parametrize("address", ["eva@example.com", '"e va #"@example.com', "*@other.example", "josé@x.org"])
def test_an_address_is_added_behind_what_is_there(path: Path, address: str) -> None:
    add_user(path, address)
    assert path.read_bytes() == f"{FIRST}\n{address}\n".encode()
    assert list(users(path)) == mailboxes(path)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("address", ["ana@EXAMPLE.com", '"ana"@example.com', "A#B@example.com", "*@Catch.example"])
def test_an_address_that_has_a_mailbox_is_not_added_again(path: Path, address: str) -> None:
    add_user(path, address)
    assert path.read_bytes() == FIRST.encode()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("not an address", "the @ is missing"),
        ("", "the local part, before the @, is missing"),
        (" eva@example.com", "has a character that needs quotes: ' '"),
        ("eva@example.com\nbob@example.com", "labels of letters"),
        ("e\udcff@example.com", "octets that are none"),
        ("#eva@example.com", "begins a comment"),
        ("e/va@example.com", "cannot be the name of a mailbox file"),
        (f"eva@{'.'.join(['d' * 60] * 4)}.example", "over 255 octets"),
    ],
)
def test_what_can_have_no_mailbox_leaves_the_file_as_it_was(path: Path, address: str, said: str) -> None:
    with pytest.raises(AddressError, match=said):
        add_user(path, address)
    assert path.read_bytes() == FIRST.encode()
    assert list(path.parent.iterdir()) == [path]


@given(
    st.lists(st.text(st.sampled_from('aAß"\\.@#/* é\n'), max_size=6).map(lambda text: f"{text}@x.org"), max_size=4)
)
def test_whatever_is_added_the_store_reads_the_file_and_the_same_entries(
    tmp_path_factory: pytest.TempPathFactory, addresses: list[str]
) -> None:
    path = tmp_path_factory.mktemp("stack") / "users.txt"
    path.write_text("ana@example.com\n")
    for address in addresses:
        try:
            add_user(path, address)
        except AddressError:
            continue
    assert list(users(path)) == mailboxes(path)
