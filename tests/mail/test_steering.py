"""Fields of a sender that would steer a reader: which are renamed, where, and that nothing is lost."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import text, whole
from mail.steering import PLAIN_BEGINNING, Renamer, steers


def _renamed(*pieces: bytes) -> bytes:
    renamer = Renamer()
    return b"".join([*map(renamer.feed, pieces), renamer.finish()])


@pytest.mark.parametrize(
    "field",
    [
        *(
            b"Content-Length: 99",
            b"Lines: 5",
            b"Status: RO",
            b"X-Status: D",
            b"X-Keywords: a",
            b"X-Label: b",
            b"X-UID: 1",
        ),
        *(b"X-UIDL: x", b"X-IMAP: 1 1", b"X-IMAPbase: 1 1", b"X-Account-Key: a", b"Return-Path: <x>"),
        *(b"X-Mozilla-Status: 0009", b"X-Mozilla-Status2: 0", b"X-Mozilla-Keys: a", b"X-Mozilla-Draft-Info: x"),
        *(b"X-Mozilla-External-Attachment-URL: file:///etc/passwd", b"X-Evolution: 1-0010", b"X-Evolution-Source: x"),
        *(b"X-VM-v5-Data: ([nil])", b"X-RMAIL-ATTRIBUTES: D", b"Delivered-To: x", b"X-Original-To: x"),
        *(
            b"sTATUS: RO",
            b"Status : RO",
            b"Status\t \t: RO",
            b"Status:RO",
            b"Status:",
            b"Status:\n RO",
            b"content-LENGTH:\n\t7",
        ),
        b"X-Sender-Status: RO",
        b"x-sender-X-Sender-Status: RO",
    ],
)
@pytest.mark.parametrize(
    ("before", "behind"),
    [(b"", b"\n\nx\n"), (b"Subject: x\n", b"\n\n"), (b"A: b\n c\n", b"\nB: d"), (b"A: b\r", b""), (b"", b"\n\r\nb")],
)
def test_such_a_field_gets_another_name(field: bytes, before: bytes, behind: bytes) -> None:
    prefixes = re.match(b"(?i)(?:X-Sender-)*", field)
    assert prefixes is not None
    new = prefixes[0] + b"X-Sender-" + field[prefixes.end() :]
    message = before + field + behind
    assert not PLAIN_BEGINNING.match(message) or steers(message)
    assert _renamed(before + field + behind) == before + new + behind


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: Status: RO\n\nStatus: RO\nContent-Length: 5\n",
        b"Subject: x\n\r\nStatus: RO\n",
        b"Subject: x\n Status: RO\n\tStatus: RO\n\n",
        b"X-Status-Of: x\nMy-Status: x\nStatuses: x\nX-Sender: x\nX-Sender-ID: x\nX-Moz: x\nContent-Type: a/b\n\n",
        b"Status",
        b"Received: x\nTo: y\nMessage-ID: z\n",
        b"a: b\nX-Sender-",
        b"",
    ],
)
def test_nothing_else_is_touched(message: bytes) -> None:
    assert _renamed(message) == message


_WORDS = (
    r"\n|\r|\r\n|:| |Status|status|X-|Sta|tus: x\n|X-Sender-|X-Sen|der-|Content-|Length|X-Mozilla-|X-Moz|illa-x|X-UID"
)
_WORDS += r"|L: y|From |A: b\n|\n\n"
_words = st.sampled_from([word.encode().decode("unicode_escape").encode() for word in _WORDS.split("|")])
_parts = st.lists(_words | st.binary(max_size=3), max_size=25)


@given(_parts, st.lists(st.integers(0, 200)))
def test_cuts_anywhere_change_nothing(parts: list[bytes], cuts: list[int]) -> None:
    message = b"A: b\n" + b"".join(parts)
    edges = sorted({0, len(message), *(cut % (len(message) + 1) for cut in cuts)})
    pieces = [message[begin:end] for begin, end in itertools.pairwise(edges)]
    assert _renamed(*pieces) == _renamed(message)
    assert _renamed(*[message[n : n + 1] for n in range(len(message))]) == _renamed(message)
    assert b"".join(text(pieces)) == whole(message)


@given(_parts)
def test_what_came_can_be_had_again_and_no_steering_field_is_left(parts: list[bytes]) -> None:
    message = b"A: b\n" + b"".join(parts)
    renamed = _renamed(message)
    header = re.split(rb"(?<=\n)\r?\n", renamed)[0]
    left = rb"(?i)(?:\A|(?<=[\r\n]))(?:(?:content-length|status|x-uidl?)[ \t:]|x-mozilla-)"
    assert not re.search(left, header)
    # As mboxrd has it: one prefix less, of those that lead such a name.
    size = len(header)
    again = re.sub(
        rb"(?i)((?:\A|[\r\n])(?:X-Sender-)*)X-Sender-(?=(?:content-length|status|x-uidl?)[ \t:]|x-mozilla-)",
        rb"\1",
        header,
    )
    assert again + renamed[size:] == message
    assert steers(message) or not PLAIN_BEGINNING.match(message) or renamed == message


def test_what_is_held_back_is_short_and_time_is_linear() -> None:
    """Prefixes without end, a header without end, and a line without end: looked at once."""
    begun = time.process_time()
    for unit in (b"X-Sender-", b"A: b\n", b"x", b"\r", b"X-Sender-Status", b"Status "):
        renamer = Renamer()
        given = 0
        for _ in range(200):
            given += 10_000 // len(unit) * len(unit)
            given -= len(renamer.feed(unit * (10_000 // len(unit))))
            assert given <= 40
    assert time.process_time() - begun < 5
