"""A message as text for a person: all of it that matters, and nothing that harms."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mail.mbox import Entry
from client.mail.view import StoredMail
from client.mailbox.showing import render
from tests.mail.hostile import LARGE

FROM = b"From ana@example.org Mon Nov 23 07:05:55 2026"
TRACE = (
    b"Return-Path: <ana@example.org>\nDelivered-To: joao@example.com\n"
    b"Received: from home ([127.0.0.1]) by correio.localhost with ESMTP\n id abc123.1 for <joao@example.com>;\n"
    b" Mon, 23 Nov 2026 07:05:55 +0000\n"
)


def rendered(message: bytes) -> str:
    return render(StoredMail(1, Entry(FROM, TRACE + message)))


def test_a_message_is_shown_with_who_when_what_and_its_delivery_id() -> None:
    message = b"From: Ana <ana@example.org>\nDate: Mon, 23 Nov 2026 07:00:00 +0000\nSubject: Hello\n\nHow are you?\n"
    assert rendered(message).splitlines() == [
        "Message 1",
        "From: Ana <ana@example.org>",
        "Date: Mon, 23 Nov 2026 07:00:00 +0000",
        "Subject: Hello",
        "Id: abc123.1",
        "",
        "How are you?",
    ]


def test_a_text_without_a_header_has_the_envelope_s_sender_and_time() -> None:
    assert rendered(b"\njust text\n").splitlines() == [
        "Message 1",
        "From: ana@example.org",
        "Date: Mon Nov 23 07:05:55 2026",
        "Subject: (none)",
        "Id: abc123.1",
        "",
        "just text",
    ]


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        (b"=?utf-8?q?Ol=C3=A1?=", "Olá"),
        ("Olá ✉".encode(), "Olá ✉"),
        (b"=?latin1?q?caf=E9?= and more", "café and more"),
        (b"folded\n over lines", "folded over lines"),
        (b"=?no-such-charset?q?x?=", "=?no-such-charset?q?x?="),
        (b"=?utf-8?b?a?=", "=?utf-8?b?a?="),
        (b"\x1b[2Jclear", "␛[2Jclear"),
        (b"=?utf-8?q?line=0Aend=1B?=", "line␊end␛"),
        (b"\xff\xfe", "ÿþ"),
    ],
)
def test_a_subject_is_decoded_and_harmless(subject: bytes, shown: str) -> None:
    assert f"\nSubject: {shown}\n" in rendered(b"Subject: " + subject + b"\n\n")


@pytest.mark.parametrize(
    ("header", "body", "shown"),
    [
        (b"", "olá".encode(), "olá"),
        (b"Content-Type: text/plain; charset=latin1\n", b"caf\xe9", "café"),
        (b"Content-Type: text/plain; charset=us-ascii\n", "olá".encode(), "olá"),
        (b"Content-Type: text/plain; charset=no-such\n", "olá".encode(), "olá"),
        (b"Content-Transfer-Encoding: base64\n", b"b2zDoQ==", "olá"),
        (b"Content-Transfer-Encoding: quoted-printable\n", b"ol=C3=A1=\n!", "olá!"),
        (b"Content-Type: text/html\n", b"<p>hi</p>", "<p>hi</p>"),
        (b"", b"\x1b]0;title\x07\x9b", "␛]0;title␇›"),
        # A control of windows-1252 and one of UTF-8.
        (b"", b"a\x9db", "a\\x9db"),
        (b"", "a\x9bb".encode(), "a\\x9bb"),
        (b"", b"real\rfake", "real␍fake"),
        (b"Content-Type: application/pdf; name=a.pdf\n", b"12345", "[application/pdf, 5 octets, a.pdf]"),
    ],
)
def test_a_text_is_decoded_and_harmless(header: bytes, body: bytes, shown: str) -> None:
    assert rendered(header + b"\n" + body).split("\n\n", 1)[1].rstrip("\n") == shown


def test_of_several_parts_the_plain_text_is_shown_and_the_others_are_named() -> None:
    shown = rendered(
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\nhello\n"
        b"--x\nContent-Type: text/html\n\n<p>hello</p>\n"
        b"--x\nContent-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\nabc\n--x--\n"
    )
    assert shown.split("\n\n", 1)[1].splitlines() == [
        "hello",
        "[text/html, 12 octets]",
        "[text/plain, 3 octets, notes.txt]",
    ]


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_any_octets_can_be_shown(content: bytes, from_line: bytes) -> None:
    shown = render(StoredMail(1, Entry(from_line, content)))
    shown.encode()
    assert not set(shown) & set(map(chr, {*range(9), *range(11, 32), 127, *range(128, 160)}))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"Content-Type", b"Content-Transfer-Encoding", b"Content-Disposition", b"Subject", b"Date"]
            ),
            st.lists(
                st.sampled_from(
                    b'multipart/mixed|; boundary=|x|text/plain|; charset=|utf-8|\xff|"|base64|x-uuencode|attachment'
                    b"|; filename*=|'|%ff|=?utf-8?b?|?=".split(b"|")
                ),
                max_size=6,
            ).map(b"".join),
        ),
        max_size=5,
    ),
    st.binary(max_size=50),
)
def test_broken_mime_can_be_shown(fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    assert rendered(b"".join(name + b": " + value + b"\n" for name, value in fields) + b"\n" + body)


@pytest.mark.parametrize("name", LARGE)
def test_a_hostile_message_is_shown_within_two_seconds(name: str) -> None:
    mail = StoredMail(1, Entry(b"From s@x", LARGE[name]))
    began = time.process_time()
    assert render(mail)
    assert time.process_time() - began < 2
