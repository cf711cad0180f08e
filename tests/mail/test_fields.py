"""A header: where its fields are, and where it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.fields import MAX_FIELDS, MAX_HEADER, is_telling_at, split, top


def read(octets: bytes) -> tuple[list[tuple[str, str]], bytes]:
    header = split(octets)
    return [(field.name, field.value) for field in header.fields], octets[header.body_at :]


@pytest.mark.parametrize(
    ("octets", "fields", "body"),
    [
        (b"Subject: x\n\nbody\n", [("Subject", "x")], b"body\n"),
        (b"Subject: x\r\n\r\nbody\r\n", [("Subject", "x")], b"body\r\n"),
        (b"Subject : x\nFrom\t : y\n\nb", [("Subject", "x"), ("From", "y")], b"b"),
        (b"Subject:x\nX:\n\n", [("Subject", "x"), ("X", "")], b""),
        (b"Subject: a\n b\n\tc\n\n", [("Subject", "a b\tc")], b""),
        (b"Subject: a\n \n b\n\nbody", [("Subject", "a  b")], b"body"),
        (b"Subject: a\n \n\nbody", [("Subject", "a")], b"body"),
        (b"Subject:\n a\n\n", [("Subject", "a")], b""),
        (b"X: a\rSubject: spoofed\nSubject: b\n\nx", [("X", "a\rSubject: spoofed"), ("Subject", "b")], b"x"),
        (b"Subject: a\r\rX: y\nTo: z\n\nbody", [("Subject", "a\r\rX: y"), ("To", "z")], b"body"),
        (b"Subject: a\x0bX: y\x0c\x1c\x85\nTo: z\n\n", [("Subject", "a\x0bX: y\x0c\x1c…"), ("To", "z")], b""),
        # Octets over 127: UTF-8, also cut within a letter, else windows-1252.
        ("Subject: Olá\n\n".encode(), [("Subject", "Olá")], b""),
        (b"Subject: Ol\xe1\nX: \xff\xfea\n\n", [("Subject", "Olá"), ("X", "ÿþa")], b""),
        ("Subject: Olá é".encode()[:-1] + b"\n\n", [("Subject", "Olá \ufffd")], b""),
        ("Subject: a\u2028X: y\n\n".encode(), [("Subject", "a\u2028X: y")], b""),
        (b"Subject: a\0b\n\n", [("Subject", "a\0b")], b""),
        (b"Subject: a\nno field\n\nx", [("Subject", "a")], b"no field\n\nx"),
        (b"Subject: a\n: x\n\n", [("Subject", "a")], b": x\n\n"),
        (b"Subject: a\n\xc3\xa9: x\n\n", [("Subject", "a")], b"\xc3\xa9: x\n\n"),
        (b"Subject: a", [("Subject", "a")], b""),
        (b"Subject: a\nTo: b", [("Subject", "a"), ("To", "b")], b""),
        (b" Subject: a\n\n", [], b" Subject: a\n\n"),
        (b"\nSubject: a\n", [], b"Subject: a\n"),
        (b"", [], b""),
    ],
)
def test_fields_are_read_and_the_header_ends(octets: bytes, fields: list[tuple[str, str]], body: bytes) -> None:
    assert read(octets) == (fields, body)


def test_the_values_of_a_name_in_any_letter_case() -> None:
    header = split(b"TO: a\nSubject: x\nto: b\n\n")
    assert [field.value for field in header.all("to")] == ["a", "b"]
    assert (header.value("subject"), header.value("cc")) == ("x", "")


@pytest.mark.parametrize(
    ("octets", "count"),
    [
        (b"X: y\n" * (MAX_FIELDS + 5) + b"\nbody", MAX_FIELDS),
        (b"Subject: a\nX: " + b"y" * MAX_HEADER + b"\n\nbody", 1),
        (b"Subject: a\nX: y\n" + b" z\n" * MAX_HEADER, 1),
        (b"Subject: a\n" + b"X: 123\n" * 5000 + b"Y: " + b"y" * MAX_HEADER + b"\nTo: z\n\n", 5001),
    ],
)
def test_what_is_behind_a_limit_is_no_field_and_that_is_said(octets: bytes, count: int) -> None:
    header = split(octets)
    assert len(header.fields) == count
    assert header.problem.startswith(f"its header has over {MAX_HEADER // 1024} KiB or {MAX_FIELDS} fields")


def test_a_header_up_to_the_limit_has_no_problem() -> None:
    octets = b"X: " + b"y" * (MAX_HEADER - 4) + b"\n\nbody"
    assert (split(octets).problem, len(split(octets).fields)) == ("", 1)
    assert split(b"X: y\n" * MAX_FIELDS + b"\nbody").problem == ""


@pytest.mark.parametrize("above", [b"\xef\xbb\xbf", b"From s@x Mon Nov 23 07:05:55 2026\n", b">From s@x\n"])
def test_what_programs_put_on_top_is_no_part_of_the_message(above: bytes) -> None:
    assert top(above + b"Subject: x\n") == len(above)
    assert top(b"\n" + above + b"Subject: x\n", 1) == 1 + len(above)
    assert top(b"\xef\xbb\xbf" + above + b"Subject: x\n") == len(b"\xef\xbb\xbf" + above)


def test_a_header_without_such_has_nothing_on_top() -> None:
    assert (top(b"From: x\n"), top(b"")) == (0, 0)


def test_a_field_that_mail_has_is_told_from_a_line_of_text() -> None:
    assert is_telling_at(b"TO : x", 0)
    assert not is_telling_at(b"Note: x", 0)
    assert not is_telling_at(b"x" * 100, 0)
    assert split(b"X: y\nsubject: x\n\n").is_telling
    assert not split(b"Note: x\n\n").is_telling


@given(st.lists(st.sampled_from([b"A: b", b"\n", b"\r", b" ", b"\r\n", b":", b"x", b"\xff", b"\0"])).map(b"".join))
def test_header_and_body_are_the_whole_and_nothing_twice(octets: bytes) -> None:
    header = split(octets)
    ends = [0, *(field.end for field in header.fields)]
    assert [field.start for field in header.fields] == ends[:-1]
    assert octets[ends[-1] : header.body_at] in (b"", b"\n", b"\r\n")
