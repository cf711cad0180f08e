"""The hint after a refusal, and what Tab offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from client.language import Language
from client.session.help import candidates, hint
from client.session.smtp import GREETING, ServerReply
from client.session.standing import Standing
from client.session.typed import CommandCompleter

EN, PT = Language.ENGLISH, Language.PORTUGUESE
_OK = ServerReply(250, ("ok",))
_GREETED = [(GREETING, ServerReply(220, ("mail.example.com hi",))), (b"HELO gmail.com", _OK)]
_SENDER = [*_GREETED, (b"MAIL FROM:<you@gmail.com>", _OK)]
_RECIPIENTS = [*_SENDER, (b"RCPT TO:<a@b.c>", _OK)]


def hinted(
    before: list[tuple[bytes, ServerReply]], line: bytes, code: int, text: str, language: Language = EN
) -> str:
    standing = Standing()
    reply = ServerReply(code, (text,))
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
    before: list[tuple[bytes, ServerReply]], line: bytes, code: int, text: str, shown: str
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
    exchanges = [*_RECIPIENTS, (b"DATA", ServerReply(354, ("go",)))]
    for text in ("5.5.2 bare line ends", "rejected"):
        assert hinted(exchanges, b".", 550, text) == ""


_OK = ServerReply(250, ("ok",))
_CONNECTED = [(GREETING, ServerReply(220, ("mail.example.com hi",)))]
_GREETED = [*_CONNECTED, (b"HELO gmail.com", _OK)]
_EXTENDED = [*_CONNECTED, (b"EHLO host.example", ServerReply(250, ("hi", "SIZE 9", "8BITMIME")))]
_SENDER = [*_GREETED, (b"MAIL FROM:<you@gmail.com>", _OK)]
_RECIPIENTS = [*_SENDER, (b"RCPT TO:<ana@b.example>", _OK)]


def stood(exchanges: list[tuple[bytes, ServerReply]]) -> Standing:
    standing = Standing()
    for line, reply in exchanges:
        standing.exchanged(line, reply)
    return standing


def offered(exchanges: list[tuple[bytes, ServerReply]], text: str) -> list[str]:
    return [line for line, _ in candidates(stood(exchanges), text)]


@pytest.mark.parametrize(
    ("exchanges", "text", "first"),
    [
        (_CONNECTED, "", ["HELO ", "EHLO "]),
        (_GREETED, "", ["MAIL FROM:<", "QUIT"]),
        (_SENDER, "", ["RCPT TO:<", "RSET"]),
        (_RECIPIENTS, "", ["DATA", "RCPT TO:<", "RSET"]),
        (_GREETED, "m", ["MAIL FROM:<"]),
        (_GREETED, "MAIL FR", ["MAIL FROM:<"]),
        (_CONNECTED, "mail", []),
        (_GREETED, "HELP r", ["HELP RCPT", "HELP RSET"]),
        (_GREETED, "MAIL FROM:<", ["MAIL FROM:<you@gmail.com>"]),
        (_GREETED, "mail to: ana@g", ["mail to: ana@gmail.com>"]),
        (_EXTENDED, "MAIL FROM:<a@", ["MAIL FROM:<a@example.org>"]),
        (_SENDER, "RCPT TO:<", ["RCPT TO:<postmaster>"]),
        (_SENDER, "RCPT TO:<ana@", []),
        (_RECIPIENTS, "RCPT TO:<", ["RCPT TO:<ana@b.example>", "RCPT TO:<postmaster>"]),
        (_RECIPIENTS, "RCPT TO:<x@", ["RCPT TO:<x@b.example>"]),
        (_EXTENDED, "MAIL FROM:<a@b> ", ["MAIL FROM:<a@b> SIZE=", "MAIL FROM:<a@b> BODY=8BITMIME"]),
        (_GREETED, "MAIL FROM:<a@b> ", []),
        (_CONNECTED, "XYZ", []),
    ],
)
def test_the_likeliest_comes_first(exchanges: list[tuple[bytes, ServerReply]], text: str, first: list[str]) -> None:
    found = offered(exchanges, text)
    assert found[: len(first)] == first
    assert first or not found


def test_inside_a_message_nothing_is_offered() -> None:
    assert offered([*_RECIPIENTS, (b"DATA", ServerReply(354, ("go",)))], "") == []


_typed = st.text(max_size=6) | st.builds(
    "".join, st.lists(st.sampled_from(["MAIL", "RCPT", " ", "FROM:", "TO:", "<", "a", "@", ">", "x.y"]), max_size=8)
)


@given(_typed, st.sampled_from([_CONNECTED, _GREETED, _EXTENDED, _SENDER, _RECIPIENTS]))
def test_a_candidate_goes_on_from_what_was_typed(text: str, exchanges: list[tuple[bytes, ServerReply]]) -> None:
    found = offered(exchanges, text)
    assert all(line.lower().startswith(text.lower()) and line != text for line in found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("language", "meaning"), [(Language.ENGLISH, "the sender"), (Language.PORTUGUESE, "o remetente")]
)
def test_the_prompt_replaces_the_line_and_tells_what_it_means(language: Language, meaning: str) -> None:
    completer = CommandCompleter(stood(_GREETED), language)
    (completion,) = completer.get_completions(Document("mai"), CompleteEvent())
    assert (completion.text, completion.start_position) == ("MAIL FROM:<", -3)
    assert completion.display_meta_text == meaning
