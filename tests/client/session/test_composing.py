from __future__ import annotations

import io
import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.session.composing import MAX_HEADER, PIECE, Fields, MessageError, NamedAddress, compose, scan

ANA = NamedAddress("", "ana@example.org")
JOAO = NamedAddress("", "joao@example.com")
FIELDS = Fields(ANA, (JOAO,))


def made(octets: bytes, fields: Fields = FIELDS, *, eight_bit_offered: bool = True) -> bytes:
    file = io.BytesIO(octets)
    message = compose(scan(file), fields, eight_bit_offered=eight_bit_offered)
    sent = b"".join(message.pieces(file))
    assert message.size(file) == len(sent)
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", sent)
    return sent


def parsed(octets: bytes, fields: Fields = FIELDS, *, eight_bit_offered: bool = True) -> EmailMessage:
    """The message as it is read back from a mailbox, with LF for CRLF."""
    sent = made(octets, fields, eight_bit_offered=eight_bit_offered).replace(b"\r\n", b"\n")
    return cast(EmailMessage, message_from_bytes(sent, policy=policy.default))


def test_a_text_gets_the_fields_that_a_message_must_have() -> None:
    message = parsed(b"See you at 8\n", Fields(ANA, (JOAO, NamedAddress("", "eva@example.com")), "Dinner"))
    assert message["From"] == "ana@example.org"
    assert message["To"] == "joao@example.com, eva@example.com"
    assert message["Subject"] == "Dinner"
    assert message["Date"].datetime.tzinfo is not None
    assert re.fullmatch(r"<[^@<>]+@example\.org>", message["Message-ID"])
    assert message.get_content() == "See you at 8\n"


def test_ascii_text_needs_no_mime_fields() -> None:
    assert b"MIME-Version" not in made(b"plain\n")


def test_text_that_is_not_ascii_is_utf8_as_it_stands() -> None:
    message = parsed("Olá, João ✉\n".encode())
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert message.get_content() == "Olá, João ✉\n"


@pytest.mark.parametrize("eight_bit_offered", [True, False])
@given(text=st.text(alphabet=st.sampled_from("aé✉=. \t\n"), max_size=3000))
def test_text_arrives_as_it_was_whatever_the_server_offers(eight_bit_offered: bool, text: str) -> None:
    # An empty line before it keeps it from being taken for a header.
    message = parsed(b"\n" + text.encode(), eight_bit_offered=eight_bit_offered)
    given_lines = ("\n" + text).splitlines()
    assert cast(str, message.get_content()).splitlines() in (given_lines, given_lines[1:])


@pytest.mark.parametrize("length", [999, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_lines_too_long_for_smtp_are_broken_softly(length: int) -> None:
    sent = made(b"x" * length + b" \nend")
    assert max(map(len, sent.split(b"\r\n"))) <= 998
    message = parsed(b"x" * length + b" \nend")
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_content().rstrip("\n") == "x" * length + " \nend"


@pytest.mark.parametrize("octets", [b"\xff\xfe not UTF-8\r\n\n", b"nul \0 octet", bytes(range(256)) * 1000])
def test_what_is_no_text_is_sent_octet_by_octet(octets: bytes) -> None:
    message = parsed(octets, eight_bit_offered=False)
    assert message.get_content_type() == "application/octet-stream"
    assert message.get_content() == octets


def test_utf8_cut_by_a_piece_is_still_text() -> None:
    message = parsed(b"x" * 70 + b"\n" + ("é\n" * PIECE).encode())
    assert message["Content-Transfer-Encoding"] == "8bit"


def test_a_header_that_is_there_is_kept_and_only_completed() -> None:
    header = b"Subject: mine\r\nX-Odd:   spaced\r\n folded\r\nFROM: eva@example.com\r\n"
    sent = made(header + b"\r\nbody\r\n")
    assert sent.startswith(header)
    assert sent.endswith(b"\r\n\r\nbody\r\n")
    names = [line.split(b":")[0] for line in sent.split(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] != b" "]
    assert names == [b"Subject", b"X-Odd", b"FROM", b"Date", b"To", b"Message-ID"]


@pytest.mark.parametrize("name", [b"Bcc", b"BCC", b"Resent-Bcc "])
def test_blind_copies_are_known_to_nobody(name: bytes) -> None:
    sent = made(b"Subject: mine\nX: 1\n" + name + b": eva@example.com,\n\t bob@example.com\nX: 2\n\nbody\n")
    assert sent.startswith(b"Subject: mine\r\nX: 1\r\nX: 2\r\nDate: ")
    assert b"example.com," not in sent
    assert b"bob@" not in sent


def test_who_is_named_in_bcc_alone_is_not_named_in_to_instead() -> None:
    sent = made(b"Subject: mine\nBcc: joao@example.com\n\nbody\n")
    assert b"joao@example.com" not in sent


@pytest.mark.parametrize("at", [PIECE - 1, PIECE])
@pytest.mark.parametrize("end", [b"\r" + b"x" * 10, b"\r\r" + b"x", b"\r\n", b"\r\n\n", b"\r", b"\r" * 3])
def test_a_cr_is_kept_where_two_pieces_meet(at: int, end: bytes) -> None:
    octets = b"e" * at + end
    message = parsed(octets)
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_payload(decode=True) == octets.replace(b"\r\n", b"\n")


def test_a_header_without_a_body_is_a_message() -> None:
    sent = made(b"Subject: only this")
    assert sent.startswith(b"Subject: only this\r\nDate: ")
    assert sent.endswith(b"\r\n\r\n")


def test_a_message_with_mime_fields_is_not_touched() -> None:
    whole = b"Date: d\nFrom: f\nTo: t\nMessage-ID: <m>\nContent-Type: text/plain; charset=latin1\n\ncaf\xe9\n"
    assert made(whole) == whole.replace(b"\n", b"\r\n")


def test_a_header_of_its_own_over_utf8_text_is_told_what_the_text_is() -> None:
    message = parsed("Subject: hi\n\nolá\n".encode())
    assert message.get_content() == "olá\n"
    assert message["Content-Type"] == 'text/plain; charset="utf-8"'


@pytest.mark.parametrize(
    "text",
    [
        b"Note: buy milk\n\nand bread\n",
        b"Subject: hi\nthen a line that is no field\n\nbody\n",
        b" From: indented\n\n",
        b"From ana Mon Nov 23\n\n",
        b"\nSubject: after an empty line\n",
        b"",
    ],
)
def test_a_text_that_only_resembles_a_header_is_text(text: bytes) -> None:
    head, _, body = made(text).partition(b"\r\n\r\n")
    assert head.startswith(b"Date: ")
    assert body == text.replace(b"\n", b"\r\n")


def test_further_fields_are_added_and_take_the_place_of_ours() -> None:
    fields = Fields(
        ANA, (JOAO,), extra=("X-Course: networks", "X-Course: again", "date: Mon, 23 Nov 2026 07:00:00 +0000")
    )
    message = parsed(b"text\n", fields)
    assert message.get_all("X-Course") == ["networks", "again"]
    assert message.get_all("Date") == ["Mon, 23 Nov 2026 07:00:00 +0000"]


def test_fields_that_are_not_ascii_are_encoded_words() -> None:
    fields = Fields(NamedAddress("José", ANA.address), (JOAO,), "Olá, " * 30 + "!", ("X-Place: café",))
    message = parsed(b"text\n", fields)
    assert message["Subject"] == "Olá, " * 30 + "!"
    assert message["X-Place"] == "café"
    assert message["From"].addresses[0].display_name == "José"


def test_a_name_with_quotes_is_quoted() -> None:
    message = parsed(b"", Fields(NamedAddress('Ana "the" A., B', ANA.address), (JOAO,)))
    assert message["From"].addresses[0].display_name == 'Ana "the" A., B'


def test_an_address_that_is_not_ascii_makes_the_header_utf8() -> None:
    file = io.BytesIO(b"text")
    message = compose(scan(file), Fields(NamedAddress("", "josé@exämple.org"), (JOAO,)), eight_bit_offered=True)
    assert message.utf8_header
    assert not message.eight_bit
    assert "From: josé@exämple.org".encode() in message.header
    assert b"@correio.invalid>" in message.header


@pytest.mark.parametrize(
    ("octets", "fields", "says"),
    [
        (b"", Fields(ANA, (JOAO,), "two\nlines"), "line end"),
        (b"", Fields(ANA, (JOAO,), "half \udcff"), "not text"),
        (b"Subject: one\n\n", Fields(ANA, (JOAO,), "two"), "has a Subject already"),
        (b"", Fields(ANA, (JOAO,), "two", ("subject: three",)), "has a Subject already"),
        (b"", Fields(ANA, (JOAO,), extra=("To: a", "To: b")), "has a To already"),
        (b"", Fields(ANA, (JOAO,), extra=("no colon",)), "Name: value"),
        (b"", Fields(ANA, (JOAO,), extra=("Blank in name: x",)), "Name: value"),
        (b"", Fields(ANA, (JOAO,), extra=("X: a\r\nBcc: b",)), "line end"),
        (b"", Fields(ANA, (JOAO,), extra=("Content-Type: text/html",)), "above it"),
        (b"", Fields(ANA, (JOAO,), extra=("Bcc: eva@example.com",)), "further recipient"),
        (b"Subject: caf\xe9\n\n", FIELDS, "not UTF-8"),
        (b"Subject: one\rX-Forged: two\n\n", FIELDS, "CR without LF"),
        (b"Subject: one\r\r\nX: two\r\n\r\n", FIELDS, "CR without LF"),
        (b"Subject: one\n folded\r", FIELDS, "CR without LF"),
    ],
)
def test_a_field_that_cannot_be_is_an_error(octets: bytes, fields: Fields, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        made(octets, fields)


@pytest.mark.parametrize(
    "above",
    [
        b"\xef\xbb\xbf",
        b"From ana@example.org Mon Nov 23 07:05:55 2026\n",
        b"\xef\xbb\xbfFrom ana@x now\r\n",
        b">From x\n",
    ],
)
def test_what_programs_put_on_top_of_a_header_is_not_sent(above: bytes) -> None:
    sent = made(above + b"From: eva@example.com\nSubject : hi\n\nFrom here\n")
    assert sent.startswith(b"From: eva@example.com\r\nSubject : hi\r\nDate: ")
    assert sent.endswith(b">\r\n\r\nFrom here\r\n")


def test_a_mark_on_top_of_a_text_is_not_sent() -> None:
    assert made(b"\xef\xbb\xbfjust text\n").partition(b"\r\n\r\n")[2] == b"just text\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        b"Subject: x\n" * 30_000,
        b"Subject: x\nTo: " + b",\n ".join(b"user%06d@client.example" % n for n in range(12_000)) + b"\n\nbody\n",
        b"To: " + b"a@b,\n " * 50_000 + b"\n\nbody\n",
        b"\xef\xbb\xbfTo : " + b"a@b,\n " * 50_000 + b"\n\nbody\n",
        b"X: y\n" * 5000 + b"Subject: x\nY: " + b"y" * MAX_HEADER,
        b"Subject: x\n" + b"X: y\n" * 10_000 + b"\nbody\n",
    ],
)
def test_a_header_over_the_limit_is_refused_and_not_sent_as_text(octets: bytes) -> None:
    with pytest.raises(MessageError, match="header has over 256 KiB or 10000 fields"):
        made(octets)


@pytest.mark.parametrize(
    ("octets", "fields"),
    [
        (b"Subject: " + b"x" * 990 + b"\n\n", FIELDS),
        (b"Subject: x\nX: " + b"y" * 996 + b"\r\n\r\n", FIELDS),
        (b"text", Fields(ANA, (JOAO,), extra=("X: " + "y" * 2000,))),
    ],
)
def test_a_line_of_the_header_over_the_limit_is_refused(octets: bytes, fields: Fields) -> None:
    with pytest.raises(MessageError, match="a line of the header has over 998 octets"):
        made(octets, fields)


def test_lines_up_to_the_limit_are_sent_as_they_are() -> None:
    field = b"Subject: " + b"x" * 989
    assert len(field) == 998
    assert field + b"\r\n" in made(field + b"\n\nbody\n")


def test_a_text_as_large_as_any_is_no_header_over_the_limit() -> None:
    text = b"Note: x\n" * 40_000
    assert made(text).partition(b"\r\n\r\n")[2] == text.replace(b"\n", b"\r\n")
