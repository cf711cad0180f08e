"""A stored message as programs see it. test_read.py has it as people do."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mbox import Entry, entries
from client.stored import StoredMail
from tests.client.boxes import entry


def stored(octets: bytes) -> StoredMail:
    (found,) = entries(iter(octets.splitlines(keepends=True)))
    return StoredMail(1, found)


def test_it_says_who_sent_it_when_and_which_delivery_it_was() -> None:
    assert stored(entry("9f3a-7.2", "Ol\u00e1", text="one\ntwo\n")).summary() == {
        "number": 1,
        "id": "9f3a-7.2",
        "sender": "bo@example.net",
        "from": "Bo <bo@example.net>",
        "subject": "Olá",
        "date": "Mon Nov 23 07:05:55 2026",
        "received": "2026-11-23T07:05:55+00:00",
        "octets": 244,
    }


@pytest.mark.parametrize(
    ("to", "address", "is_for"),
    [
        ("ana+shop@example.org", "Ana+Shop@example.org", True),
        ("ana+shop@example.org", "ana@example.org", False),
        ("ana+shop@example.org", "ana+sho@example.org", False),
        ("Ana <ana+a@example.org>, ana+b@example.org", "ana+b@example.org", True),
        ("Ana <ana+a@example.org>, ana+b@example.org", "ana@example.org", False),
    ],
)
def test_it_knows_the_address_it_was_sent_to(to: str, address: str, is_for: bool) -> None:
    assert stored(entry(to=to)).is_for(address) is is_for


def test_the_trace_counts_and_not_what_the_header_says() -> None:
    forged = entry(to="joao@catch.example").replace(b"Subject:", b"To: maria@catch.example\nSubject:")
    assert [stored(forged).is_for(f"{name}@catch.example") for name in ("joao", "maria")] == [True, False]


def test_a_bounce_has_no_sender() -> None:
    bounce = stored(entry(sender=""))
    assert bounce.sender == ""
    assert bounce.addresses == {"mailer-daemon"}


def test_texts_and_parts_are_told_apart() -> None:
    body = (
        "--x\nContent-Type: text/plain\n\nplain\n--x\nContent-Type: text/html\n\n<b>html</b>\n"
        "--x\nContent-Disposition: attachment; filename=a.bin\nContent-Transfer-Encoding: base64\n\nAAEC\n--x--\n"
    )
    mail = stored(entry(subject="s\nContent-Type: multipart/mixed; boundary=x", text=body))
    assert (mail.text, mail.html) == ("plain", "<b>html</b>")
    assert mail.as_json()["parts"][2] == {"type": "text/plain", "name": "a.bin", "octets": 3}
    assert mail.message.get_body(("plain",)).get_content().strip() == "plain"


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_any_octets_are_a_message(content: bytes, from_line: bytes) -> None:
    json.dumps(StoredMail(1, Entry(from_line, content)).as_json()).encode()
