"""A stored message as programs see it. test_reading.py has it as people do."""

from __future__ import annotations

import json
import re
import time
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import Entry, entries
from mail.trace import received as received_field
from mail.view import StoredMail
from tests.client.boxes import entry
from tests.mail.hostile import HOSTILE, LARGE, MULTIPART, octets


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


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "for",
        "by",
        "with",
        "[IPv6:::1]",
        "x;id",
        "x(id",
        "my pc",
        "(none)",
        "é id x",
        "a) by b with c id d;",
        "=?utf-8?q?a_id_b?=",
    ],
)
@pytest.mark.parametrize("recipient", ["ana@example.org", '"a> id b;"@example.org', "=?x?q?y?=@example.org"])
def test_the_client_s_name_is_not_taken_for_the_delivery_id(name: str, recipient: str) -> None:
    trace = received_field(
        name,
        "127.0.0.1",
        "correio.localhost",
        "9f3a-7.2",
        1_795_000_000_000,
        extended=False,
        utf8=False,
        only=recipient,
    )
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


@pytest.mark.parametrize("name", ["parts in parts", "a boundary of 5,000 digits"])
def test_a_message_that_cannot_be_taken_apart_is_one_text(name: str) -> None:
    head, _, body = HOSTILE[name].partition(b"\n\n")
    mail = StoredMail(1, Entry(b"", b"Subject: Hello\n" + head + b"\n\n" + body))
    assert (mail.subject, mail.text) == ("Hello", body.decode())
    assert (mail.message["Subject"], mail.message.get_content()) == ("Hello", body.decode())


@given(octets, st.binary(max_size=60))
def test_any_octets_are_a_message(content: bytes, from_line: bytes) -> None:
    everything(StoredMail(1, Entry(from_line, content)))


TRACE = b"Return-Path: <s@x>\nDelivered-To: ana@x\nReceived: from h ([::1])\n\tby c with ESMTP id a.1; now\n"


def received(message: bytes) -> StoredMail:
    """As the store writes what a client sent: with an empty line before what begins with no field."""
    between = b"" if re.match(rb"[!-9;-~]+[ \t]*:|\n", message) else b"\n"
    return stored(b"From s@x now\n" + TRACE + between + re.sub(rb"(?m)^(>*From )", rb">\1", message) + b"\n")


@pytest.mark.parametrize(
    ("message", "subject", "text"),
    [
        (b"Subject : spaced colon\nTo: q@x\n\nbody\n", "spaced colon", "body\n"),
        (b"From : s@x\nSubject: s\n\nbody\n", "s", "body\n"),
        (b"\xef\xbb\xbfFrom: s@x\nSubject: s\n\nbody\n", "s", "body\n"),
        (b"From s@x Mon Nov 23 07:05:55 2026\nSubject: s\n\nbody\n", "s", "body\n"),
        (b">From s@x Mon Nov 23 07:05:55 2026\nFrom: s@x\nSubject: s\n\nbody\n", "s", "body\n"),
        (b"\xef\xbb\xbfFrom s@x now\nSubject: s\n\nbody\n", "s", "body\n"),
        ("\ufeffSubject: é\n\nbody é\n".encode("utf-16-le"), "é", "body é\n"),
        ("\ufeffSubject: é\r\n\r\nbody é\r\n".encode("utf-16-be"), "é", "body é\n"),
        (b"X-Note: a\rSubject: spoofed\nSubject: real\n\nbody\n", "real", "body\n"),
        (b"Subject: before\r\rX: y\nTo: q@x\n\nbody\n", "before\r\rX: y", "body\n"),
        (b"Subject: s\n\nreal\rfake\n", "s", "real\rfake\n"),
        (b"Subject: a\n \n b\n\nbody\n", "a  b", "body\n"),
        (b"Subject: s\n\nna\0ul\n", "s", "na\0ul\n"),
        # These are texts.
        (b"From me to you\nno header\n", "", "From me to you\nno header\n"),
        (b"\xef\xbb\xbfjust text\n", "", "just text\n"),
        (b"\xef\xbb\xbfNote: buy milk\n\nplease\n", "", "Note: buy milk\n\nplease\n"),
        (b"\n\xef\xbb\xbftext\n", "", "text\n"),
        (b"just text\n", "", "just text\n"),
    ],
)
def test_a_message_begins_where_its_sender_began_it(message: bytes, subject: str, text: str) -> None:
    mail = received(message)
    assert (mail.id, mail.sender, mail.subject, mail.text) == ("a.1", "s@x", subject, text)


@pytest.mark.parametrize(
    "message", [b"\xef\xbb\xbfFrom: s@x\nSubject : s\n\nbody\n", b"From s@x now\nSubject : s\n\nbody\n"]
)
def test_python_s_email_package_is_given_the_message_as_it_is_read_here(message: bytes) -> None:
    mail = received(message).message
    assert (mail["Subject"], mail.get_content()) == ("s", "body\n")


def test_a_name_in_the_sender_field_is_no_address() -> None:
    mail = received(b"From: =?utf-8?q?boss=40corp=2Eexample=2C?= <joe@client.example>\n\nx\n")
    assert mail.addresses == {"joe@client.example", "s@x"}
    assert mail.sender_field == '"boss@corp.example," <joe@client.example>'


def both(kind: bytes, *parts: tuple[bytes, bytes]) -> StoredMail:
    body = b"".join(b"--b\nContent-Type: " + head + b"\n\n" + text + b"\n" for head, text in parts)
    return received(b"Subject: s\n" + MULTIPART % kind + body + b"--b--\n")


PLAIN, HTML = b"text/plain", b"text/html"
INNER = b"multipart/alternative; boundary=i\n\n--i\n\n%s\n--i\nContent-Type: text/html\n\n<p>x\n--i--"


@pytest.mark.parametrize(
    ("mail", "text", "html", "shown"),
    [
        (both(b"mixed", (PLAIN, b"alpha"), (PLAIN, b"beta")), "alpha\nbeta", "", "alpha\nbeta"),
        (both(b"mixed", (PLAIN, b"alpha\n"), (PLAIN, b""), (PLAIN, b"beta")), "alpha\nbeta", "", None),
        (both(b"alternative", (PLAIN, b"p"), (HTML, b"<p>x")), "p", "<p>x", "p\n[text/html, 4 octets]"),
        (both(b"alternative", (PLAIN, b""), (HTML, b"<p>x")), "", "<p>x", "<p>x"),
        (both(b"alternative", (PLAIN, b" \n\xc2\xa0\n"), (HTML, b"<p>x")), " \n\u00a0\n", "<p>x", "<p>x"),
        (both(b"mixed", (HTML, b"a"), (HTML, b"b")), "", "a\nb", "a\nb"),
        (both(b"mixed", (INNER % b"", b""), (PLAIN, b"footer")), "footer", "<p>x", "<p>x\nfooter"),
        (
            both(b"mixed", (INNER % b"p", b""), (PLAIN, b"footer")),
            "p\nfooter",
            "<p>x",
            "p\n[text/html, 4 octets]\nfooter",
        ),
        (
            both(b"mixed", (PLAIN + b"\nContent-Disposition: attachment; filename=n.txt", b"abc")),
            "",
            "",
            "[text/plain, 3 octets, n.txt]",
        ),
        (both(b"mixed", (PLAIN + b"\nContent-Disposition: inline; filename=n.txt", b"abc")), "abc", "", "abc"),
        (
            both(b"mixed", (PLAIN, b"t"), (b"message/rfc822; name=f.eml", b"Subject: i\n\nINNER")),
            "t",
            "",
            "t\n[message/rfc822, 17 octets, f.eml]",
        ),
        (
            both(
                b"report",
                (PLAIN, b"t"),
                (b"message/delivery-status", b"Action: failed"),
                (b"text/rfc822-headers", b"To: x"),
            ),
            "t",
            "",
            "t\n[message/delivery-status, 14 octets]\n[text/rfc822-headers, 5 octets]",
        ),
        (
            both(b"signed", (PLAIN, b"t"), (b"application/pgp-signature", b"s")),
            "t",
            "",
            "t\n[application/pgp-signature, 1 octet]",
        ),
        (both(b"mixed", (b"text/calendar", b"BEGIN")), "", "", "BEGIN"),
        (received(b"Content-Type: multipart/alternative\n\nhuman text\n"), "human text\n", "", "human text\n"),
    ],
)
def test_texts_stand_apart_and_html_is_shown_where_plain_says_nothing(
    mail: StoredMail, text: str, html: str, shown: str | None
) -> None:
    assert (mail.text, mail.html) == (text, html)
    assert shown is None or mail.shown == shown


def test_an_attached_mail_is_a_part_and_no_text_of_the_mail_s_own() -> None:
    inner, outer = EmailMessage(), EmailMessage()
    inner.set_content("INNER")
    inner.add_alternative("<p>INNER</p>", subtype="html")
    outer.set_content("outer text")
    outer.add_attachment(inner, filename="forwarded.eml")
    told = received(outer.as_bytes()).as_json()
    assert (told["text"], told["html"]) == ("outer text\n", "")
    assert [(part["type"], part["name"]) for part in told["parts"]] == [
        ("text/plain", ""),
        ("message/rfc822", "forwarded.eml"),
    ]


def test_what_is_not_shown_as_it_was_meant_says_why() -> None:
    assert received(b"Subject: s\n\nx\n").as_json()["problems"] == []
    mail = received(b"Content-Type: text/plain; charset=x-none\n\ncaf\xe9\n")
    assert mail.as_json()["problems"] == ["the charset 'x-none' is not known: shown as windows-1252"]
    assert mail.shown == "café\n\n[the charset 'x-none' is not known: shown as windows-1252]"
    assert received(b"Content-Type: text/plain; charset=x-none\n\ncaf\xc3\xa9\n").as_json()["problems"] == []


@pytest.mark.parametrize("name", LARGE)
def test_a_hostile_message_takes_two_seconds_at_most(name: str) -> None:
    mail = received(LARGE[name])
    began = time.process_time()
    json.dumps(mail.as_json())
    assert time.process_time() - began < 2
    began = time.process_time()
    assert isinstance(mail.shown, str)
    assert mail.addresses
    mail.is_for("ana@example.org")
    assert time.process_time() - began < 2
    began = time.process_time()
    assert isinstance(mail.message, EmailMessage)
    assert time.process_time() - began < 5
