"""Explanations: taken out of replies, and said in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.language import Language
from client.session.explanation import Explanation, split, told
from client.session.smtp import Reply

_WHO = "XEXPLAIN worker 4711@host step 3"


@pytest.mark.parametrize("enhanced", ["2.1.0 ", ""])
def test_an_explanation_is_taken_out_of_its_reply(enhanced: str) -> None:
    lines = ("ok", _WHO, "XEXPLAIN phase: greeted -> sender", "XEXPLAIN sender: (none) -> <a@b>")
    reply, explanation = split(Reply(250, tuple(enhanced + line for line in lines)))
    assert reply == Reply(250, (f"{enhanced}ok",))
    assert explanation == Explanation(
        "4711@host", "3", (("phase", "greeted", "sender"), ("sender", "(none)", "<a@b>"))
    )


def test_the_keyword_in_ehlo_s_reply_is_no_explanation() -> None:
    offer = Reply(250, ("host", "XEXPLAIN", "HELP"))
    assert split(offer) == (offer, None)
    reply, explanation = split(Reply(250, (*offer.texts, _WHO)))
    assert reply == offer
    assert explanation == Explanation("4711@host", "3", ())


@given(st.lists(st.text(max_size=20) | st.just(_WHO), min_size=1, max_size=4))
def test_a_reply_keeps_its_first_line_whatever_the_server_says(texts: list[str]) -> None:
    reply, explanation = split(Reply(250, tuple(texts)))
    assert reply.texts == tuple(texts[: len(reply.texts)])
    assert reply.texts
    assert (explanation is None) is (len(reply.texts) == len(texts))


def test_it_is_told_in_both_languages() -> None:
    explanation = Explanation("4711@host", "3", (("phase", "greeted", "sender"), ("hello", "(none)", "HELO message")))
    assert told(explanation, 0.00123, Language.ENGLISH) == [
        "worker 4711@host, step 3, 1.2 ms",
        "phase: greeted -> sender",
        "greeting: (none) -> HELO message",
    ]
    assert told(explanation, 0.00123, Language.PORTUGUESE) == [
        "worker 4711@host, passo 3, 1,2 ms",
        "fase: cumprimentado -> remetente",
        "saudação: (nada) -> HELO message",
    ]


def test_a_line_that_changed_nothing_says_so() -> None:
    assert told(Explanation("w", "1", ()), 0, Language.ENGLISH)[1:] == ["the session stays as it was"]


def test_without_an_explanation_there_is_the_time() -> None:
    assert told(None, 0.5, Language.PORTUGUESE) == ["500,0 ms"]


def test_a_field_of_a_newer_server_is_told_by_its_own_name() -> None:
    assert told(Explanation("w", "1", (("colour", "a", "b"),)), 0, Language.PORTUGUESE)[1] == "colour: a -> b"
