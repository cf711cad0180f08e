"""Numbers with what they count, and that no text of the house says "1 messages"."""

from __future__ import annotations

import re

import pytest

import runtime
from client import language
from tests.test_layout import PACKAGES, ROOT

SOURCES = [
    path
    for package in [*PACKAGES, "bench", "docs"]
    if package != "wire"  # it counts what a program has done wrong
    for path in sorted((ROOT / package).rglob("*.py"))
    if "node_modules" not in path.parts
] + [ROOT / "tests" / "faults" / name for name in ("chaos.py", "verdict.py")]  # what `make chaos` says
# What is counted in texts for people. A number that is never 1, as a constant, is written as one: a name in capitals,
# or a limit.
NOUNS = (
    "answer|client|connection|copie|cop|deliverie|entrie|error|event|file|line|mailboxe|mailbox file|message|octet|"
    "question|recipient|service|setting|step|user|worker"
)
LIMIT = r"limit|\w*limits?\.|(?:\w+\.)?_?(?:MAX|MOST)_|self\._(?:limit|most)"
NUMBER = re.compile(rf"(?:%d|\{{(?!{LIMIT})[^{{}}]+\}}) (?:new |more |bad |open )?(?:{NOUNS})s\b")


@pytest.mark.parametrize("counted", [runtime.counted, language.counted])
def test_one_is_not_many(counted: object) -> None:
    assert callable(counted)
    assert [counted(number, "message") for number in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]
    assert counted(1, "mailbox", "mailboxes") == "1 mailbox"
    assert counted(3, "mailbox", "mailboxes") == "3 mailboxes"


def test_no_text_counts_with_a_plural_alone() -> None:
    lines = [(source.name, line) for source in SOURCES for line in source.read_text("utf-8").splitlines()]
    assert [(name, line) for name, line in lines if NUMBER.search(line) and not line.lstrip().startswith("#")] == []
