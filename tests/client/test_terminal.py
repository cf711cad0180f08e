from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.terminal import harmless_line, harmless_text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain é ✉ text\twith tab", "plain é ✉ text\twith tab"),
        ("\x1b[2J", "␛[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("over\rwritten\x7f", "over␍written␡"),
        ("abc\u202efdp.exe", "abc<U+202E>fdp.exe"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_what_acts_on_a_terminal_is_replaced_by_a_visible_sign(given: str, shown: str) -> None:
    assert harmless_line(given) == shown
    assert harmless_text(given) == shown


def test_only_text_keeps_its_line_feeds() -> None:
    assert harmless_text("a\nb") == "a\nb"
    assert harmless_line("a\nb") == "a␊b"


@given(st.text(alphabet=st.characters()))
def test_no_control_character_ever_passes(text: str) -> None:
    assert {c for c in harmless_line(text) if unicodedata.category(c) in ("Cc", "Cs")} <= {"\t"}
