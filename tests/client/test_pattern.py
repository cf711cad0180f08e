"""Regular expressions of users, with a limit for the time."""

from __future__ import annotations

import re
import time

import pytest

from client.pattern import compiled, found

EVIL = [
    ("(a+)+$", "a" * 500_000 + "b"),
    ("(a|a)*$", "a" * 500_000 + "b"),
    ("(a|aa)+$", "a" * 500_000 + "b"),
    ("(x+x+)+y", "x" * 500_000),
    (r"^(\w+\s?)*$", "a" * 500_000 + "!"),
    ("(?:.*?,){11}P", ",1" * 250_000),
    (r"(?i)(é|É)*$", "é" * 500_000 + "b"),
    ("((a{1,100}){1,100}){1,100}b", "a" * 50),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 500_000),
]


@pytest.mark.parametrize(("pattern", "text"), EVIL, ids=[pattern for pattern, _ in EVIL])
def test_one_that_would_take_years_is_given_up(pattern: str, text: str) -> None:
    began = time.process_time()
    with pytest.raises(TimeoutError):
        found(compiled(pattern), text, 0.1)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("pattern", "text", "is_found"),
    [
        (re.compile("^Re"), "Re: x", True),
        (re.compile("^re"), "Re: x", False),
        (re.compile("^re", re.IGNORECASE), "Re: x", True),
        (re.compile("(?i)RESET .* password$"), "reset your password", True),
        (re.compile("a b", re.VERBOSE), "ab", True),
        (re.compile("^b$", re.MULTILINE), "a\nb", True),
        (re.compile("a.b", re.DOTALL), "a\nb", True),
        (re.compile(r"\w", re.ASCII), "é", False),
        (re.compile(r"\w"), "é", True),
        (re.compile(""), "", True),
        (re.compile(r"(?P<q>['\"])x(?P=q)"), "'x'", True),
        (re.compile(r"\d{6}"), "code 471123", True),
    ],
)
def test_it_finds_what_python_finds(pattern: re.Pattern[str], text: str, is_found: bool) -> None:
    assert bool(pattern.search(text)) is is_found
    assert found(pattern, text, 5) is is_found


@pytest.mark.parametrize("text", ["(", "[", "*", r"\8", "(?P<a", "a{2,1}", "(" * 20_000, "(?z)"])
def test_what_is_none_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compiled(text)
