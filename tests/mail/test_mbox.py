"""Mailbox files: what is written, read back with Python's `mailbox` and with ours."""

from __future__ import annotations

import itertools
import mailbox
import re
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import Entry, entries, head, newlines_before, text, whole

TRACE = b"Received: from a by b with SMTP id s.1; date\n"
WHEN = 1_795_417_555_123


def _rendered(message: bytes) -> bytes:
    return b"".join(text([message]))


def _cut(message: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(message), *(cut % (len(message) + 1) for cut in cuts)})
    return [message[a:b] for a, b in itertools.pairwise(places)]


def test_the_first_lines_name_sender_time_and_mailbox() -> None:
    assert head(WHEN, "a@b.example", "c@d.example", TRACE) == (
        b"From a@b.example Mon Nov 23 07:05:55 2026\nReturn-Path: <a@b.example>\nDelivered-To: c@d.example\n" + TRACE
    )


def test_each_recipient_of_another_address_is_named_above_the_trace() -> None:
    lines = head(WHEN, "a@b.example", "*@d.example", TRACE, ["x@d.example", "é@d.example"])
    begin = head(WHEN, "a@b.example", "*@d.example", b"")
    assert lines == begin + "X-Original-To: x@d.example\nX-Original-To: é@d.example\n".encode() + TRACE


def test_the_null_sender_is_mailer_daemon() -> None:
    assert head(WHEN, "", "c@d.example", b"").startswith(b"From MAILER-DAEMON Mon Nov 23")
    assert b"\nReturn-Path: <>\n" in head(WHEN, "", "c@d.example", b"")


def test_blanks_of_a_quoted_local_part_do_not_split_the_from_line() -> None:
    lines = head(WHEN, '"a b"@c.example', "c@d.example", b"").split(b"\n")
    assert lines[0] == b'From "a%20b"@c.example Mon Nov 23 07:05:55 2026'
    assert lines[1] == b'Return-Path: <"a b"@c.example>'


@pytest.mark.parametrize(
    ("message", "rendered"),
    [
        (b"", b"\n\n"),
        (b"\n", b"\n\n"),
        (b"\nbody\n", b"\nbody\n\n"),
        (b"no header", b"\nno header\n\n"),
        (b"Subject: x\n\nbody\n", b"Subject: x\n\nbody\n\n"),
        (b"Subject : x\n", b"Subject : x\n\n"),
        (b" folded: x\n", b"\n folded: x\n\n"),
        (b"From me to you\n", b"\n>From me to you\n\n"),
        (b"From: me\n\nFrom \n>From \n>>From x\n From \nfrom \nFrom\n", None),
        (b"a: b\n\n\0\xff\r\n\r", b"a: b\n\n\0\xff\r\n\r\n\n"),
    ],
)
def test_only_what_must_change_is_changed(message: bytes, rendered: bytes | None) -> None:
    expected = rendered or b"From: me\n\n>From \n>>From \n>>>From x\n From \nfrom \nFrom\n\n"
    assert _rendered(message) == expected


@given(
    st.lists(st.sampled_from([b"\n", b">", b"From ", b"Fro", b"m ", b"F", b"x", b"a: b\n"])), st.lists(st.integers(0))
)
def test_cuts_anywhere_change_nothing(parts: list[bytes], cuts: list[int]) -> None:
    message = b"".join(parts)
    assert b"".join(text(_cut(message, cuts))) == _rendered(message)


@given(
    st.lists(st.sampled_from([b"\n", b">", b"From ", b"Fro", b"F", b"x", b"a: b\n", b" "])) | st.lists(st.binary())
)
def test_a_message_that_is_held_whole_looks_the_same(parts: list[bytes]) -> None:
    message = b"".join(parts)
    assert whole(message) == b"".join(text([message]))


@given(st.lists(st.sampled_from([b"\n", b">", b"From ", b"x", b"a: b\n", b"\0", b"\xff\r"])) | st.lists(st.binary()))
def test_python_s_mailbox_reads_back_what_was_sent(parts: list[bytes]) -> None:
    messages = [b"".join(parts), b"Subject: y\n\ny\n"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box"
        path.write_bytes(b"".join(head(WHEN, "a@b", "c@d", TRACE) + _rendered(message) for message in messages))
        box = mailbox.mbox(path, create=False)
        read = [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118  # iterating parses every message
        box.close()
    assert len(read) == 2
    for sent, stored in zip(messages, read, strict=True):
        received = re.sub(rb"(?m)^>(>*From )", rb"\1", stored.partition(TRACE)[2])
        whole = sent if sent.endswith(b"\n") else sent + b"\n"
        assert received in (whole, b"\n" + whole)


@pytest.mark.parametrize(
    ("tail", "newlines"), [(b"", 0), (b"\n", 0), (b"\n\n", 0), (b"x\n", 1), (b"\r\n", 1), (b"x", 2), (b"\nx", 2)]
)
def test_an_entry_begins_after_an_empty_line(tail: bytes, newlines: int) -> None:
    assert newlines_before(tail) == newlines


def test_a_line_of_nothing_but_quote_marks_is_not_held_back() -> None:
    pieces = [b">" * 1000] * 1000
    assert max(len(piece) for piece in text([b"a: b\n\n", *pieces, b"From x\n"])) <= 1010


FROM = b"From ana@example.org Mon Nov 23 07:05:55 2026"


def read(octets: bytes) -> list[Entry]:
    return list(entries(iter(octets.splitlines(keepends=True))))


def quoted(message: bytes) -> bytes:
    """A message as mboxrd keeps it: `From ` lines with one more >, an empty line after it."""
    lines = message.split(b"\n")
    return b"\n".join(b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines) + b"\n"


messages = st.lists(st.sampled_from([b"From x", b">From y", b">>From ", b"From", b"", b"a", b"> From", b"\xff"])).map(
    lambda lines: b"".join(line + b"\n" for line in lines)
)


@given(st.lists(messages, max_size=4))
def test_messages_come_out_as_they_went_in(written: list[bytes]) -> None:
    octets = b"".join(FROM + b"\n" + quoted(message) for message in written)
    assert read(octets) == [Entry(FROM, message) for message in written]


def test_the_standard_library_sees_the_same_messages(tmp_path: Path) -> None:
    bodies = [b"Subject: one\n\nFrom here\n>From there\n", b"Subject: two\n\n\n\n", b"Subject: three\n\nend\n"]
    path = tmp_path / "box.txt"
    path.write_bytes(b"".join(FROM + b"\n" + quoted(body) for body in bodies))
    theirs = mailbox.mbox(path, create=False)
    ours = read(path.read_bytes())
    assert [entry.content for entry in ours] == bodies
    assert [theirs.get_bytes(key) for key in theirs.keys()]  # noqa: SIM118  # iterating gives messages == [quoted(body)[:-1] for body in bodies]
    theirs.close()


def test_a_file_that_somebody_has_edited_hides_nothing() -> None:
    assert read(b"a note of mine\n" + FROM + b"\nno empty line after\n" + FROM + b"\r\nlast without end") == [
        Entry(b"", b"a note of mine\n"),
        Entry(FROM, b"no empty line after\n"),
        Entry(FROM, b"last without end"),
    ]


def test_empty_lines_are_no_message() -> None:
    assert read(b"\n\n") == []


@given(st.lists(messages, max_size=4), st.integers(1, 9))
def test_it_does_not_matter_where_the_file_is_cut_for_reading(written: list[bytes], size: int) -> None:
    octets = b"".join(FROM + b"\n" + quoted(message) for message in written)
    pieces = (octets[start : start + size] for start in range(0, len(octets), size))
    assert list(entries(pieces)) == read(octets)


@pytest.mark.parametrize("unit", [b"\n", b"From \n", b">From \n", b">", b"\nFrom", b"\r\n", b"x"])
def test_a_message_is_found_in_time_linear_in_its_size(unit: bytes) -> None:
    octets = FROM + b"\n" + unit * (2 * 1024 * 1024 // len(unit))
    pieces = [octets[start : start + 256 * 1024] for start in range(0, len(octets), 256 * 1024)]
    began = time.process_time()
    assert list(entries(pieces))
    assert time.process_time() - began < 2
