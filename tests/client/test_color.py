"""Colours: whether, and which."""

from __future__ import annotations

import re

import pytest

from client.color import Paint, wanted


@pytest.mark.parametrize(
    ("choice", "environment", "terminal", "colours"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_whether_there_are_colours(choice: str, environment: dict[str, str], terminal: bool, colours: bool) -> None:
    assert wanted(choice, environment, terminal=terminal) is colours


@pytest.mark.parametrize(
    ("text", "painted"),
    [
        ("250 2.0.0 Ok", "\x1b[1;32m250 2.0.0\x1b[0m Ok"),
        ("354 go on", "\x1b[1;36m354\x1b[0m go on"),
        ("451 4.3.0 later", "\x1b[1;33m451 4.3.0\x1b[0m later"),
        ("550 5.1.1 no", "\x1b[1;31m550 5.1.1\x1b[0m no"),
        ("221", "\x1b[1;32m221\x1b[0m"),
        ("250-a\n250 b 550", "\x1b[1;32m250\x1b[0m-a\n\x1b[1;32m250\x1b[0m b 550"),
    ],
)
def test_a_reply_has_its_codes_in_the_colour_of_their_class(text: str, painted: str) -> None:
    assert Paint(True).reply(text) == painted


def test_without_colours_nothing_is_added() -> None:
    plain = Paint()
    assert [plain.reply("250 ok"), plain.hint("a"), plain.note("b")] == ["250 ok", "a", "b"]


def test_with_colours_the_words_are_the_same() -> None:
    paint = Paint(True)
    painted = [paint.reply("250 ok"), paint.hint("a"), paint.note("b")]
    assert [re.sub(r"\x1b\[[0-9;]*m", "", each) for each in painted] == ["250 ok", "a", "b"]


def test_sessions_that_follow_each_other_have_different_colours() -> None:
    paint = Paint(enabled=True)
    assert len({paint.session("s", number) for number in range(6)}) == 6
    assert Paint().session("s", 1) == "s"
