"""The parts of a message."""

from __future__ import annotations

import base64
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail import parts
from mail.fields import split
from mail.parts import Part, Parts, take_apart


def taken(message: bytes) -> Parts:
    return take_apart(message, split(message))


def told(message: bytes) -> list[tuple[str, str, bytes, bool]]:
    return [(part.type, part.name, part.octets, part.attached) for part in taken(message).leaves]


MIXED = b"Content-Type: multipart/mixed; boundary=b\n\n"


def part(header: bytes, body: bytes, boundary: bytes = b"b") -> bytes:
    return b"--" + boundary + b"\n" + header + b"\n" + body + b"\n"


PLAIN = ("text/plain", "", b"x", False)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"Subject: s\n\nx", [PLAIN]),
        (b"no header", [("text/plain", "", b"no header", False)]),
        (b"", [("text/plain", "", b"", False)]),
        (MIXED + part(b"", b"x") + b"--b--\nepilogue", [PLAIN]),
        (MIXED + b"preamble\n" + part(b"", b"x") + part(b"Content-Type: text/html\n", b"y") + b"--b--",
         [PLAIN, ("text/html", "", b"y", False)]),
        (MIXED + part(b"", b"x"), [("text/plain", "", b"x\n", False)]),
        (MIXED + b"--b\n\nx\n--b  \t\n\nx\n--b--  \n", [PLAIN, PLAIN]),
        (MIXED + b"--b\n\nx\n--bc\n\n-- b\n--b--", [("text/plain", "", b"x\n--bc\n\n-- b", False)]),
        (MIXED + b"--b\nno field\nx\n--b--", [("text/plain", "", b"no field\nx", False)]),
        (MIXED + b"--b\nContent-Type: text/html\n--b\n\nx\n--b--", [("text/html", "", b"", False), PLAIN]),
        (MIXED + b"--b\n--b\n\nx\n--b--", [("text/plain", "", b"", False), PLAIN]),
        (MIXED.replace(b"\n", b"\r\n") + b"--b\r\n\r\nx\r\n--b--\r\n", [PLAIN]),
        (MIXED.replace(b"=b", b'="b b" (c)') + b"--b b\n\nx\n--b b--", [PLAIN]),
        (MIXED.replace(b"=b", b"*=us-ascii''b") + b"--b\n\nx\n--b--", [PLAIN]),
        # No boundary that can be used: its text.
        (b"Content-Type: multipart/alternative\n\nx", [PLAIN]),
        (b"Content-Type: multipart/mixed; boundary=\n\nx", [PLAIN]),
        (MIXED + b"x", [PLAIN]),
        (MIXED + b"x\n--b--\ny", [PLAIN]),
        (MIXED + part(b"Content-Type: multipart/mixed; boundary=b\n", b"x") + b"--b--", [PLAIN]),
        (MIXED + part(b"Content-Type: multipart/mixed; boundary=c\n", b"x") + b"--b--", [PLAIN]),
        # The boundary of what is around ends what is within.
        (MIXED + part(b"Content-Type: multipart/x; boundary=c\n", b"--c\n\nx") + part(b"", b"x") + b"--b--",
         [PLAIN, PLAIN]),
        (MIXED + part(b"Content-Type: multipart/x; boundary=b--\n", b"--b--\n\nx"),
         [("text/plain", "", b"x\n", False)]),
        # A message in a message is a part, whatever is in it.
        (MIXED + part(b"Content-Type: message/rfc822\n", MIXED.replace(b"=b", b"=c") + b"--c\n\ny\n--c--") + b"--b--",
         [("message/rfc822", "", MIXED.replace(b"=b", b"=c") + b"--c\n\ny\n--c--", False)]),
        (b"Content-Type: multipart/digest; boundary=b\n\n" + part(b"", b"Subject: y\n\ny") + b"--b--",
         [("message/rfc822", "", b"Subject: y\n\ny", False)]),
        (b"Content-Type: message/partial; id=1\n\nx", [("message/partial", "", b"x", False)]),
        # What does not describe itself in a valid way is plain text.
        (b"Content-Type: text\n\nx", [PLAIN]),
        (b"Content-Type: a/b/c\n\nx", [PLAIN]),
        (b"Content-Type : TEXT/Plain (x)\n\nx", [PLAIN]),
        (b"Content-Disposition: attachment\n\nx", [("text/plain", "", b"x", True)]),
        (b"Content-Disposition: x-other; filename=f\n\nx", [("text/plain", "f", b"x", True)]),
        (b"Content-Disposition: inline; filename=f\n\nx", [("text/plain", "f", b"x", False)]),
        (b"Content-Type: image/png; name=n\nContent-Disposition: INLINE\n\nx", [("image/png", "n", b"x", False)]),
    ],
)  # fmt: skip
def test_a_message_has_these_parts(message: bytes, found: list[tuple[str, str, bytes, bool]]) -> None:
    assert told(message) == found
    assert taken(message).problem == ""


@pytest.mark.parametrize(
    ("encoding", "given", "octets"),
    [
        ("base64", b"AAEC\nAwQ=\n", b"\0\1\2\3\4"),
        ("BASE64", b"AAECAwQ", b"\0\1\2\3\4"),
        ("base64 (x)", b"A!A-E\xffC", b"\0\1\2"),
        ("base64", b"AAECA", b"\0\1\2"),
        ("base64", b"AAE=AwQ=", b"\0\1\3\4"),
        ("base64", b"\xff!?", b"\xff!?"),
        ("base64", b" \n", b""),
        ("quoted-printable", b"a=3D=\nb=zz=", b"a=b=zz"),
        ("x-uuencode", b"begin 644 x\n#0V%T\n`\nend\n", b"Cat"),
        ("x-uuencode", b"no begin\n", b"no begin\n"),
        ("x-uuencode", b"begin 644 x\n\xff\xff\n", b"begin 644 x\n\xff\xff\n"),
        ("8bit", b"\xff", b"\xff"),
        ("x-unknown", b"=41", b"=41"),
        ("", b"=41", b"=41"),
    ],
)
def test_octets_are_decoded_and_what_cannot_be_stays(encoding: str, given: bytes, octets: bytes) -> None:
    assert told(f"Content-Transfer-Encoding: {encoding}\n\n".encode() + given)[0][2] == octets


def test_texts_in_one_alternative_are_known_to_be_one() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=%s\n\n--%s\n\nx\n--%s--"
    nested = b"Content-Type: multipart/related; boundary=r\n\n--r\n" + inner.replace(b"%s", b"c") + b"\n--r--"
    message = MIXED + b"--b\n\nx\n--b\n" + inner.replace(b"%s", b"a") + b"\n--b\n" + nested + b"\n--b--"
    assert [each.alternative for each in taken(message).leaves] == [0, 1, 2]


def test_a_text_says_that_its_charset_is_not_known_where_that_matters() -> None:
    text, utf8 = (Part("text/plain", "", octets, "x-no\x1bsuch") for octets in (b"caf\xe9", "café".encode()))
    assert (text.text, text.problem) == ("café", "the charset 'x-no\\x1bsuch' is not known: shown as windows-1252")
    assert (utf8.text, utf8.problem) == ("café", "")


def nested(levels: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(levels)
    )  # fmt: skip


TOO_MUCH = {
    "levels": (nested(parts.MAX_DEPTH + 1), "100 levels"),
    "parts": (MIXED + b"--b\n\n" * (parts.MAX_PARTS + 2), "5000 parts"),
    "delimiters": (MIXED + b"--x\n" * (parts.MAX_DELIMITERS + 2), "500000 lines"),
    "fields": (MIXED + b"--b\n" + b"X: y\n" * (parts.MAX_FIELDS + 1), "50000 fields"),
    "headers": (MIXED + b"--b\nX: " + b"y" * parts.MAX_HEADERS, "2048 KiB"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_over_a_limit_it_is_one_text_as_it_stands_and_says_why(name: str) -> None:
    message, limit = TOO_MUCH[name]
    found = taken(message)
    assert [(each.type, each.octets) for each in found.leaves] == [("text/plain", message[split(message).body_at :])]
    assert limit in found.problem
    assert found.problem.endswith(", and is shown as it stands")


def test_up_to_the_limits_it_is_taken_apart() -> None:
    assert taken(nested(parts.MAX_DEPTH) + b"\nx").problem == ""
    assert len(taken(MIXED + b"--b\n\n" * parts.MAX_PARTS).leaves) == parts.MAX_PARTS


def test_what_the_standard_library_makes_is_taken_apart_as_it_was_put_together() -> None:
    message = EmailMessage()
    message.set_content("plain é\n")
    message.add_alternative("<p>é</p>\n", subtype="html")
    message.add_attachment(b"\0\1\2" * 1000, "application", "pdf", filename="currículo €.pdf")
    inner = EmailMessage()
    inner.set_content("inner\n")
    message.add_attachment(inner, filename="forwarded.eml")
    found = taken(message.as_bytes()).leaves
    assert [(each.type, each.name, each.attached) for each in found] == [
        ("text/plain", "", False),
        ("text/html", "", False),
        ("application/pdf", "currículo €.pdf", True),
        ("message/rfc822", "forwarded.eml", True),
    ]
    assert (found[0].text, found[1].text, found[2].octets) == ("plain é\n", "<p>é</p>\n", b"\0\1\2" * 1000)
    assert split(found[3].octets).body_at > 0


@given(st.lists(st.binary(max_size=20).filter(lambda octets: b"--" not in octets), max_size=5))
def test_what_was_put_into_parts_comes_out_of_them(bodies: list[bytes]) -> None:
    message = MIXED + b"".join(
        part(b"Content-Transfer-Encoding: base64\n", base64.encodebytes(octets)) for octets in bodies
    )
    assert [each.octets for each in taken(message + b"--b--\n").leaves] == (bodies or [b"--b--\n"][:0] or [b""])


PIECES = [
    b"--b",
    b"--c",
    b"--",
    b"\n",
    b"\r\n",
    b"\n\n",
    MIXED,
    MIXED.replace(b"=b", b"=c"),
    b"x",
    b" ",
    b"Content-Type: ",
]


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_any_octets_have_parts_and_no_octet_is_in_two(octets: bytes) -> None:
    found = taken(octets)
    assert found.leaves
    assert sum(len(each.octets) for each in found.leaves) <= len(octets)
