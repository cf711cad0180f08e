"""Hints: after which refusal, and that what they show is right."""

from __future__ import annotations

import pytest

from client.language import Language
from client.session.hints import hint
from client.session.smtp import GREETING, Reply
from client.session.standing import Standing

EN, PT = Language.ENGLISH, Language.PORTUGUESE
_OK = Reply(250, ("ok",))
_GREETED = [(GREETING, Reply(220, ("mail.example.com hi",))), (b"HELO gmail.com", _OK)]
_SENDER = [*_GREETED, (b"MAIL FROM:<you@gmail.com>", _OK)]
_RECIPIENTS = [*_SENDER, (b"RCPT TO:<a@b.c>", _OK)]


def hinted(before: list[tuple[bytes, Reply]], line: bytes, code: int, text: str, language: Language = EN) -> str:
    standing = Standing()
    reply = Reply(code, (text,))
    for each in [*before, (line, reply)]:
        standing.exchanged(*each)
    return hint(standing, line, reply, language)


@pytest.mark.parametrize(
    ("before", "line", "code", "text", "shown"),
    [
        ([], b"HELLO", 500, "5.5.2 what", "HELO example.org or EHLO host.example.org"),
        ([], b"HELO", 501, "5.5.4 name", "HELO example.org"),
        ([], b"MAIL FROM:<a@b>", 503, "5.5.1 hello", "greet first: HELO"),
        (_GREETED, b"MAIL a@b", 501, "5.5.4 form", "MAIL FROM:<you@gmail.com>"),
        (_GREETED, b"MAIL FROM:<a>", 501, "5.1.7 address", "name@domain"),
        (
            _GREETED,
            b"MAIL FROM:<a@yahoo.com>",
            553,
            "5.1.8 domain",
            "of gmail.com: MAIL FROM:<you@gmail.com>",
        ),
        (_GREETED, b"MAIL FROM:<a@gmail.com> SIZE=1", 555, "5.5.4 parameter", "EHLO"),
        (_GREETED, b"DATA", 503, "5.5.1 order", "first the sender: MAIL FROM:<you@gmail.com>"),
        (_GREETED, b"RCPT TO:<a@b>", 503, "order", "first the sender"),
        (_SENDER, b"DATA", 554, "5.5.1 none", "first a recipient: RCPT TO:<postmaster>"),
        (_SENDER, b"MAIL FROM:<a@gmail.com>", 503, "5.5.1 nested", "RCPT TO:<postmaster>, or drop it"),
        (_SENDER, b"RCPT TO:<x@mail.example.com>", 550, "5.1.1 unknown", "postmaster"),
        (_SENDER, b"RCPT TO:<x@far.example>", 550, "5.7.1 relay", "own users"),
        (_SENDER, b"RCPT TO:<x@y.z>", 550, "no enhanced code", "does not exist"),
        (_RECIPIENTS, b"DATA now", 501, "5.5.4 argument", "like this: DATA"),
        (_RECIPIENTS, b"RCPT TO:<x@y.z>", 452, "4.5.3 many", "DATA"),
        (_RECIPIENTS, b"DATA", 450, "4.2.0 mailbox", "try the same again"),
        (_GREETED, b"EXPN x", 502, "5.5.1 no", "MAIL FROM"),
        (_GREETED, b"HELP x", 504, "5.5.4 no", "HELP alone"),
        (_GREETED, b"x", 421, "4.7.0 over", "opens a new one"),
    ],
)
def test_a_refusal_gets_the_right_form(
    before: list[tuple[bytes, Reply]], line: bytes, code: int, text: str, shown: str
) -> None:
    english = hinted(before, line, code, text)
    assert shown in english
    portuguese = hinted(before, line, code, text, PT)
    assert portuguese
    assert portuguese != english


@pytest.mark.parametrize("code", [220, 250, 251, 354])
def test_what_is_no_refusal_gets_none(code: int) -> None:
    assert hinted(_GREETED, b"MAIL FROM:<you@gmail.com>", code, "2.1.0 ok") == ""


def test_a_refused_message_is_not_taken_for_an_unknown_mailbox() -> None:
    exchanges = [*_RECIPIENTS, (b"DATA", Reply(354, ("go",)))]
    for text in ("5.5.2 bare line ends", "rejected"):
        assert hinted(exchanges, b".", 550, text) == ""
