"""A stored message as programs see it. test_read.py has it as people do."""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from client.__main__ import main
from client.mbox import Entry, entries
from client.stored import StoredMail
from session_worker import state
from session_worker.trace import received
from tests.client.boxes import entry, put


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
        ("ana+shop@example.org", "ana@example.org", True),  # it came into her mailbox
        ("ana+shop@example.org", "ana+sho@example.org", False),
        ("ana+a@example.org, ana+b@example.org", "ana+a@example.org", True),
        ("ana+a@example.org, ana+b@example.org", "ana+B@Example.org", True),
        ("ana+a@example.org, ana+b@example.org", "ana+c@example.org", False),
    ],
)
def test_it_knows_the_address_it_was_sent_to(to: str, address: str, is_for: bool) -> None:
    assert stored(entry(to=to)).is_for(address) is is_for


FORGERIES = [
    "To",
    "Cc",
    "Delivered-To",
    "X-Original-To",
    "x-original-to",
    "Received: from a (b) by c with d id e\n\tfor",
]


@pytest.mark.parametrize("field", FORGERIES)
@pytest.mark.parametrize("to", ["joao@catch.example", "joao@catch.example, ana@catch.example"])
def test_the_server_s_word_counts_and_not_what_the_sender_s_header_says(field: str, to: str) -> None:
    forged = entry(to=to).replace(b"Subject:", f"{field}: <maria@catch.example>; now\nSubject:".encode())
    assert [stored(forged).is_for(f"{name}@catch.example") for name in ("joao", "maria")] == [True, False]


def test_what_did_not_come_through_the_server_is_for_those_of_its_header() -> None:
    own = stored(b"From \nDelivered-To: bo@example.org\nTo: ana@example.org\nCc: Jo <jo@example.org>\n\nhi\n")
    assert [own.is_for(f"{name}@example.org") for name in ("ana", "jo", "bo")] == [True, True, False]


@pytest.mark.parametrize("name", ["id", "for", "by", "with", "[IPv6:::1]", "x;id", "x(id", "=?utf-8?q?a_id_b?="])
@pytest.mark.parametrize("recipient", ["ana@example.org", '"a> id b;"@example.org', "=?x?q?y?=@example.org"])
def test_the_client_s_name_is_not_taken_for_the_delivery_id(name: str, recipient: str) -> None:
    """The field is the one that a worker writes."""
    recipients = (state.Recipient(recipient, "ana@example.org"),)
    mail = state.Transaction("bo@example.net", recipients=recipients)
    trace = received(state.Session("127.0.0.1", name), mail, "correio.localhost", "9f3a-7.2", 1_795_000_000_000)
    found = StoredMail(1, Entry(b"", trace + b"Subject: Hello\n\nhi\n"))
    assert (found.id, found.is_for(recipient)) == ("9f3a-7.2", True)


def test_another_server_s_trace_has_no_delivery_id_of_ours() -> None:
    assert stored(b"From \nReceived: by mx.example.net (Other) id 4711; now\n\nhi\n").id == ""


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


# Each of these makes Python's email package, or one of its codecs, raise something, or gives text that no UTF-8 has.
HOSTILE = {
    "a charset that is no ASCII": "Subject: =?ü?q?x?=\n\nhi\n".encode(),
    "a codec that gives no text": b"Subject: =?hex?q?zz?=\nContent-Type: text/plain; charset=hex\n\nhi\n",
    "half a pair in a subject": b"Subject: =?unicode_escape?q?=5Cud800?=\n\nhi\n",
    "half a pair in a text": b"Content-Type: text/plain; charset=unicode_escape\n\n\\ud800\n",
    "half a pair in UTF-7": b"Content-Type: text/html; charset=utf-7\n\n+2AA-\n",
    "half a pair in a name": b"Content-Disposition: attachment; filename==?utf-7?q?+2AA-?=\n\nhi\n",
    "a number of 5,000 digits": b"Content-Type: text/plain; name*" + b"9" * 5000 + b"=x\n\nhi\n",
    "a boundary of 5,000 digits": b"Content-Type: multipart/mixed; boundary*" + b"9" * 5000 + b"=x\n\nhi\n",
    "a NUL in a charset": b"Content-Type: text/plain; charset*=a\0b''x\n\nhi\n",
    "a NUL in a name's charset": b"Content-Disposition: attachment; filename*=a\0b''%ff\n\nhi\n",
    "messages in messages": b"Content-Type: message/rfc822\n\n" * 2000 + b"hi\n",
    "parts in parts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1500)
    ),
    "comments in comments": b"From: " + b"(" * 50_000 + b"\nTo: " + b"(" * 50_000 + b"\n\nhi\n",
    "comments in a type": b"Content-Type: " + b"(" * 50_000 + b"\n\nhi\n",
    "a year of 5,000 digits": b"Received: x; 1 Jan " + b"9" * 5000 + b" 0:0:0 +0000\n\nhi\n",
}


def everything(mail: StoredMail) -> str:
    """All that a stored message says to programs."""
    assert isinstance(mail.message, EmailMessage)
    told = [mail.as_json(), mail.shown, sorted(mail.addresses), mail.is_for("ana@example.org")]
    return json.dumps(told, ensure_ascii=False).encode().decode()


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_decoded_appears_as_it_is(content: bytes) -> None:
    everything(StoredMail(1, Entry(b"From bo@example.net", content)))


def test_a_field_that_cannot_be_decoded_spoils_no_other() -> None:
    mail = stored(b"From \nSubject: =?\xc3\xbc?q?x?=\nTo: " + b"(" * 50_000 + b"\nCc: ana@example.org\n\nhi\n")
    assert (mail.subject, mail.text) == ("=?ü?q?x?=", "hi\n")
    assert mail.is_for("ana@example.org")


@pytest.mark.parametrize("name", ["messages in messages", "a boundary of 5,000 digits"])
def test_a_message_that_cannot_be_taken_apart_is_one_text(name: str) -> None:
    head, _, body = HOSTILE[name].partition(b"\n\n")
    mail = StoredMail(1, Entry(b"", b"Subject: Hello\n" + head + b"\n\n" + body))
    assert (mail.subject, mail.text) == ("Hello", body.decode())
    assert (mail.message["Subject"], mail.message.get_content()) == ("Hello", body.decode())


def test_one_hostile_mail_hides_no_other_from_the_commands(tmp_path: Path) -> None:
    put(tmp_path, *(b"From bo@example.net\n" + content + b"\n" for content in HOSTILE.values()), entry("a.1"))
    for command in (
        ["list", "ana@example.org"],
        ["list", "ana@example.org", "--json"],
        ["read", "ana@example.org"],
        ["show", "ana@example.org"],
        ["wait", "--to", "ana@example.org", "--from", "bo@example.net", "--after", "", "--subject", "Hello"],
    ):
        result = CliRunner().invoke(main, [*command, "--mailboxes", str(tmp_path)])
        assert (result.exit_code, result.exception) == (0, None), command
        assert "a.1" in result.output


WORDS = [
    *b"Content-Type: |Content-Disposition: attachment; |Content-Transfer-Encoding: |base64|x-uuencode".split(b"|"),
    *b"multipart/mixed; boundary=b\n|message/rfc822\n|text/plain; |text/html; |--b\n|--b--\n".split(b"|"),
    *b"charset=|filename*0*=|name*=|utf-7|unicode_escape|idna|punycode|''%ff|+2AA-".split(b"|"),
    *b"Received: from |From: |To: |Subject: |=?|?q?|?b?|?=|\\ud800|\xc3\xbc".split(b"|"),
    *b'(|<|>|"|[|,|;|:|@|\0|\r|\n|\n\n|\n '.split(b"|"),
    b"9" * 5000,
]
octets = st.binary(max_size=300) | st.lists(st.sampled_from(WORDS) | st.binary(max_size=4)).map(b"".join)


@given(octets, st.binary(max_size=60))
def test_any_octets_are_a_message(content: bytes, from_line: bytes) -> None:
    everything(StoredMail(1, Entry(from_line, content)))


@given(octets)
def test_any_octets_are_a_mailbox(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "ana@example.org.txt").write_bytes(content)
    for command in (["list"], ["list", "--json"], ["read"]):
        result = CliRunner().invoke(main, [*command, "ana@example.org", "--mailboxes", str(folder)])
        assert (result.exit_code, result.exception) == (0, None)
