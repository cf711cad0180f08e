"""What Tab offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from client.language import Language
from client.session.completion import CommandCompleter, candidates
from client.session.smtp import GREETING, Reply
from client.session.standing import Standing

_OK = Reply(250, ("ok",))
_CONNECTED = [(GREETING, Reply(220, ("mail.example.com hi",)))]
_GREETED = [*_CONNECTED, (b"HELO gmail.com", _OK)]
_EXTENDED = [*_CONNECTED, (b"EHLO host.example", Reply(250, ("hi", "SIZE 9", "8BITMIME")))]
_SENDER = [*_GREETED, (b"MAIL FROM:<you@gmail.com>", _OK)]
_RECIPIENTS = [*_SENDER, (b"RCPT TO:<ana@b.example>", _OK)]


def stood(exchanges: list[tuple[bytes, Reply]]) -> Standing:
    standing = Standing()
    for line, reply in exchanges:
        standing.exchanged(line, reply)
    return standing


def offered(exchanges: list[tuple[bytes, Reply]], text: str) -> list[str]:
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
def test_the_likeliest_comes_first(exchanges: list[tuple[bytes, Reply]], text: str, first: list[str]) -> None:
    found = offered(exchanges, text)
    assert found[: len(first)] == first
    assert first or not found


def test_inside_a_message_nothing_is_offered() -> None:
    assert offered([*_RECIPIENTS, (b"DATA", Reply(354, ("go",)))], "") == []


_typed = st.text(max_size=6) | st.builds(
    "".join, st.lists(st.sampled_from(["MAIL", "RCPT", " ", "FROM:", "TO:", "<", "a", "@", ">", "x.y"]), max_size=8)
)


@given(_typed, st.sampled_from([_CONNECTED, _GREETED, _EXTENDED, _SENDER, _RECIPIENTS]))
def test_a_candidate_goes_on_from_what_was_typed(text: str, exchanges: list[tuple[bytes, Reply]]) -> None:
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
