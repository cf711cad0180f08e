"""Figures go between their marks, and the text around them stays."""

from __future__ import annotations

import pytest

from bench import document
from bench.__main__ import DOCUMENT

_TEXT = "# Title\n<!-- figures: one -->\nold\n<!-- end -->\nprose\n<!-- figures: two -->\nkept\n<!-- end -->\n"


def test_only_the_named_section_is_replaced() -> None:
    assert document.refreshed(_TEXT, {"one": r"new \1" + "\n"}) == _TEXT.replace("old", r"new \1")


def test_a_section_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="three"):
        document.refreshed(_TEXT, {"three": ""})


def test_the_document_of_this_project_has_the_sections_that_are_refreshed() -> None:
    names = ("machine", "throughput", "workers", "times", "cost", "curves_machine", "curves")
    text = document.refreshed(DOCUMENT.read_text(), {name: f"figures of {name}\n" for name in names})
    assert all(f"figures of {name}\n" in text for name in names)
