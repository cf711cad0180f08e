"""The conversation log: in order, without mail, and safe for any terminal."""

from __future__ import annotations

import logging
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.telling.conversation import Conversation, printable
from runtime.telling import Form
from tests.event_lines import Lines as EventLines
from tests.event_lines import event_log
from tests.gateway.fakes import gateway
from wire.messages import Body, Connected, Lines, ReadLines, StepDone, Told


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


def speak(conversation: Conversation) -> None:
    """A session as its gateway tells it, with a message in two pieces."""
    begun = conversation.clock()
    conversation.connected("s-1", "192.0.2.1")
    for spoken, replies, told, delivery in (
        (Connected(), b"", (), ""),
        (Lines((b"HELO a", None, b"later")), b"250-a\r\n250 b\r\n", (Told("HELO", 250), Told("", 500)), ""),
        (Body(b"secret", 0, last=False), b"", (), ""),
        (Body(b"secret", 6, last=True), b"250 2.0.0 stored\r\n", (Told("message", 250),), "s-1.1"),
        (Body(b"", 6, last=True, too_big=True), b"552 5.3.4 too big\r\n", (Told("message", 552),), ""),
    ):
        consumed = len(told) if isinstance(spoken, Lines) else 0
        done = StepDone("s-1", 0, consumed, b"", replies, ReadLines(), told=told, delivery=delivery)
        conversation.answered("s-1", "192.0.2.1", spoken, done, b"0123456789abcdef", begun)
    conversation.said("s-1", "192.0.2.1", b"421 bye\r\n")
    conversation.closed("s-1", "192.0.2.1", "the client left")


def test_lines_are_told_as_far_as_they_were_used_and_messages_by_their_size() -> None:
    events, log = event_log()
    speak(Conversation(events))
    events.flush()
    assert log.messages == [
        "s-1 connection from 192.0.2.1",
        "s-1 C: HELO a",
        "s-1 C: (line too long)",
        "s-1 S: 250-a",
        "s-1 S: 250 b",
        "s-1 C: (message, 12 octets)",
        "s-1 S: 250 2.0.0 stored",
        "s-1 C: (message, too big)",
        "s-1 S: 552 5.3.4 too big",
        "s-1 S: 421 bye",
        "s-1 closed: the client left",
    ]


def test_a_log_line_has_session_peer_and_what_it_tells_as_fields_of_their_own() -> None:
    times = iter([1.0, *[1.0025] * 5])
    events, log = event_log("json")
    speak(Conversation(events, clock=lambda: next(times)))
    events.flush()
    names = ("event", "text", "verb", "worker", "ms", "octets", "too_big", "delivery", "why")
    told = [{name: line[name] for name in names if name in line} for line in log.objects]
    by = {"worker": "01234567", "ms": 2.5}
    assert told == [
        {"event": "connected"},
        {"event": "client", "text": "HELO a", "verb": "HELO"},
        {"event": "client", "text": "(line too long)", "verb": ""},
        {"event": "server", "text": "250-a", **by},
        {"event": "server", "text": "250 b", **by},
        {"event": "message", "octets": 12, "too_big": False},
        {"event": "server", "text": "250 2.0.0 stored", "delivery": "s-1.1", **by},
        {"event": "message", "octets": 6, "too_big": True},
        {"event": "server", "text": "552 5.3.4 too big", **by},
        {"event": "server", "text": "421 bye"},
        {"event": "closed", "why": "the client left"},
    ]
    assert {(line["session"], line["peer"]) for line in log.objects} == {("s-1", "192.0.2.1")}
    assert [line["message"] for line in log.objects][1:3] == ["s-1 C: HELO a", "s-1 C: (line too long)"]


@pytest.mark.parametrize("form", ["human", "json"])
def test_of_a_line_that_is_secret_only_that_it_was_said_is_told(form: Form) -> None:
    events, log = event_log(form)
    lines = Lines((b"AUTH PLAIN AGFuYQBwYXNzd29yZA==", b"NOOP"))
    told = (Told("AUTH", 235, secret=True), Told("NOOP", 250))
    done = StepDone("s-1", 1, 2, b"", b"235 ok\r\n250 ok\r\n", ReadLines(), told=told)
    Conversation(events).answered("s-1", "192.0.2.1", lines, done, b"w1", 0.0)
    events.flush()
    assert "AGFuYQBwYXNzd29yZA" not in log.text
    if form == "human":
        assert log.messages == ["s-1 C: (secret)", "s-1 C: NOOP", "s-1 S: 235 ok", "s-1 S: 250 ok"]
    else:
        assert [(line.get("text"), line.get("verb")) for line in log.objects][:2] == [
            ("(secret)", "AUTH"), ("NOOP", "NOOP"),
        ]  # fmt: skip


def test_a_conversation_that_is_not_shown_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    conversation = Conversation(None)
    with caplog.at_level(logging.DEBUG):
        speak(conversation)
    assert not conversation.has_audience
    assert caplog.messages == []


def test_a_failure_on_cue_is_told_even_then(caplog: pytest.LogCaptureFixture) -> None:
    Conversation(None).injected("s-1", "192.0.2.1", "a delay\n")
    assert caplog.messages == ["s-1 ! injected: a delay\\x0a"]
    assert (caplog.records[0].event, caplog.records[0].text) == ("injected", "a delay\\x0a")  # type: ignore[attr-defined]


def test_what_the_client_can_choose_is_escaped_wherever_it_is_told() -> None:
    hostile = b"a\r\n\x1b[2J\x7f\x9b\xff" + "\u2028\u202e\x85".encode()
    forms: list[Form] = ["human", "json"]
    for form in forms:
        events, log = event_log(form)
        conversation = Conversation(events)
        done = StepDone(
            "s-1", 0, 1, b"", b"500 " + hostile.replace(b"\n", b"") + b"\r\n", ReadLines(), told=(Told("", 500),)
        )
        conversation.answered("s-1", "192.0.2.1", Lines((hostile,)), done, b"\x1b\xff", 0.0)
        conversation.closed("s-1", "192.0.2.1", hostile.decode("latin-1"))
        events.flush()
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Zl") for char in log.text.replace("\n", ""))
        told = [value for line in log.objects for value in line.values()] if events.fields else log.messages
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Zl") for value in told for char in str(value))


async def test_a_session_that_talks_ahead_is_told_in_the_order_of_the_dialogue() -> None:
    log: list[EventLines] = []
    async with gateway(conversation="on") as running:
        log.append(running.log)
        await running.worker()
        client = await running.greeted()
        client.send(b"one\r\nDATA\r\nsecret\r\n.\r\nQUIT\r\n")
        await client.rest()
        client.writer.close()
        await client.writer.wait_closed()
    told = [message.partition(" ")[2] for message in log[0].messages]
    assert told == [
        "connection from 127.0.0.1",
        "S: 220 127.0.0.1",
        "C: one",
        "C: DATA",
        "S: 250 1 one",
        "S: 354 go",
        "C: (message, 7 octets)",
        "S: 250 7 octets",
        "C: QUIT",
        "S: 221 bye",
        "closed: the server said good-bye",
    ]
    assert "secret" not in log[0].text
