"""Replies as octets, and replies to outcomes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_worker.dialogue import replies
from session_worker.dialogue.replies import MAX_REPLY_LINE, Reply
from session_worker.dialogue.state import TIMED_OUT
from wire.outcomes import (
    DISK_FULL,
    EXPIRED,
    TROUBLE,
    Delivered,
    Discarded,
    Failed,
    Found,
    NoSuchUser,
    NotOurDomain,
    Outcome,
    Staged,
    TimedOut,
    Unwritable,
    Writable,
)


def test_every_line_but_the_last_has_a_hyphen_and_all_have_the_codes() -> None:
    assert Reply(214, "2.0.0", ("a", "b")).render() == b"214-2.0.0 a\r\n214 2.0.0 b\r\n"
    assert Reply(250, "", ("a", "b")).render() == b"250-a\r\n250 b\r\n"


@given(st.lists(st.text(max_size=700), min_size=1, max_size=3), st.booleans())
def test_a_line_never_exceeds_its_limit_and_is_utf8_only_where_asked_for(texts: list[str], utf8: bool) -> None:
    printable = tuple(re.sub(r"[\x00-\x1f\ud800-\udfff]", "", text) for text in texts)
    rendered = Reply(250, "2.1.5", printable, utf8).render()
    lines = rendered.split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) == len(texts)
    assert all(len(line) + 2 <= MAX_REPLY_LINE for line in lines)
    rendered.decode("utf-8" if utf8 else "ascii")


def test_a_client_s_own_words_are_shown_clipped() -> None:
    assert replies.shown("x" * 64) == "x" * 64
    assert replies.shown("x" * 65) == "x" * 64 + "..."


_OUTCOMES: list[tuple[Outcome, str]] = [
    (NoSuchUser(), "550 5.1.1"),
    (NotOurDomain(), "550 5.7.1"),
    (Unwritable("maria@example.com", "read-only"), "450 4.2.0"),
    (Failed(TROUBLE, "secret"), "451 4.3.0"),
    (Failed(DISK_FULL, "secret"), "452 4.3.1"),
    (Failed(EXPIRED, "secret"), "451 4.3.2"),
    (Failed("of a newer store", "secret"), "451 4.3.0"),
    (TimedOut(), "451 4.3.2"),
]


@pytest.mark.parametrize(("outcome", "codes"), _OUTCOMES)
def test_an_outcome_that_is_not_hoped_for_has_its_reply(outcome: Outcome, codes: str) -> None:
    rendered = replies.refused(outcome, "maria@example.com").render()
    assert rendered.startswith(codes.encode() + b" ")
    assert b"secret" not in rendered


@pytest.mark.parametrize("outcome", [Found("m"), Writable(), Staged(1), Delivered(False), Discarded()])
def test_an_outcome_to_another_question_is_trouble(outcome: Outcome) -> None:
    assert replies.refused(outcome, "a@b").render().startswith(b"451 4.3.0 ")


def test_a_failure_has_its_reply_by_name() -> None:
    assert replies.failure(TIMED_OUT).enhanced == "4.3.2"
    assert replies.failure(replies.failure_of(TimedOut())) == replies.failure(TIMED_OUT)


@pytest.mark.parametrize(("name", "sender"), [("gmail.com", "you@gmail.com"), ("[127.0.0.1]", "you@[127.0.0.1]")])
def test_the_welcome_shows_a_sender_that_would_be_accepted(name: str, sender: str) -> None:
    assert replies.helo("mail.example.com", name).lines[0].endswith(f"MAIL FROM:<{sender}>")


@pytest.mark.parametrize(
    ("hello", "form"),
    [
        ("", "MAIL FROM:<you@example.org>"),
        ("gmail.com", "MAIL FROM:<you@gmail.com>"),
        ("[127.0.0.1]", "MAIL FROM:<you@[127.0.0.1]>"),
    ],
)
def test_the_example_of_mail_is_one_that_this_session_may_send(hello: str, form: str) -> None:
    assert replies.in_own_name(replies.sender_first("DATA"), hello).lines[0].endswith(f": {form}")
    assert replies.in_own_name(replies.NOOP, hello) == replies.NOOP


def test_what_the_client_said_itself_is_shown_as_it_said_it() -> None:
    said = replies.in_own_name(replies.bad_sender("MAIL FROM:<you@example.org>", "why"), "gmail.com").lines[0]
    assert said == '"MAIL FROM:<you@example.org>" is no sender address: why. Example: MAIL FROM:<you@gmail.com>'
