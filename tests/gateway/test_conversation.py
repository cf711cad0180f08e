"""The conversation log: in order, without mail, and safe for any terminal."""

from __future__ import annotations

import logging
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.conversation import Conversation, printable
from tests.gateway.fakes import gateway, run
from wire.messages import Body, Connected, Lines


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_what_is_shown_is_one_line_without_a_control_character(octets: bytes) -> None:
    shown = printable(octets)
    assert not any(unicodedata.category(char) == "Cc" for char in shown)
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"MAIL FROM:<a@b>", "MAIL FROM:<a@b>"),
        ("RCPT TO:<joão@b>".encode(), "RCPT TO:<joão@b>"),
        (b"\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"a\r\nb", "a\\x0d\\x0ab"),
        ("\x9b31m\u202eabc\u2028".encode(), "\\x9b31m\\u202eabc\\u2028"),
    ],
)
def test_control_octets_and_what_is_not_utf_8_are_escaped(octets: bytes, shown: str) -> None:
    assert printable(octets) == shown


def test_lines_are_told_as_far_as_they_were_used_and_messages_by_their_size(caplog: pytest.LogCaptureFixture) -> None:
    conversation = Conversation(shown=True)
    with caplog.at_level(logging.INFO, "gateway.conversation"):
        conversation.connected("s-1", "192.0.2.1")
        conversation.used("s-1", Connected("192.0.2.1"), 0)
        conversation.used("s-1", Lines((b"HELO a", None, b"later")), 2)
        conversation.used("s-1", Body(b"secret", 0, last=False), 0)
        conversation.used("s-1", Body(b"secret", 6, last=True), 0)
        conversation.used("s-1", Body(b"", 6, last=True, too_big=True), 0)
        conversation.said("s-1", b"250-a\r\n250 b\r\n")
        conversation.closed("s-1", "the client left")
    assert caplog.messages == [
        "s-1 connection from 192.0.2.1",
        "s-1 C: HELO a",
        "s-1 C: (line too long)",
        "s-1 C: (message, 12 octets)",
        "s-1 C: (message, too big)",
        "s-1 S: 250-a",
        "s-1 S: 250 b",
        "s-1 closed: the client left",
    ]


def test_a_conversation_that_is_not_shown_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    conversation = Conversation(shown=False)
    with caplog.at_level(logging.INFO, "gateway.conversation"):
        conversation.connected("s-1", "192.0.2.1")
        conversation.used("s-1", Lines((b"HELO a",)), 1)
        conversation.said("s-1", b"250 b\r\n")
        conversation.closed("s-1", "the client left")
    assert caplog.messages == []


def test_a_session_that_talks_ahead_is_told_in_the_order_of_the_dialogue(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with gateway(conversation="on") as running:
            await running.worker()
            client = await running.greeted()
            client.send(b"one\r\nDATA\r\nsecret\r\n.\r\nQUIT\r\n")
            await client.rest()
            client.writer.close()
            await client.writer.wait_closed()

    with caplog.at_level(logging.INFO):
        run(test())
    told = [record.message.partition(" ")[2] for record in caplog.records if record.name == "gateway.conversation"]
    assert told == [
        "connection from 127.0.0.1",
        "S: 220 127.0.0.1",
        "C: one",
        "C: DATA",
        "S: 250 1 one",
        "S: 354 go",
        "C: (message, 7 octets)",
        "C: QUIT",
        "S: 250 7 octets",
        "S: 221 bye",
        "closed: the server said good-bye",
    ]
    assert "secret" not in caplog.text
