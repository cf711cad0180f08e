"""The two languages that the client's own words come in; what a server says stays as the server said it.

Gives: `Phrase`, one thing to say in both languages, written where it is used; `language_of`, which one a locale
means; `number` and `counted` for numbers in texts.
Fails: a text whose languages do not take the same values is refused as soon as its module is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from string import Formatter


class Language(Enum):
    """The value is that of --lang."""

    ENGLISH = "en"
    PORTUGUESE = "pt"  # of Brazil


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something to say, as templates of str.format with named values."""

    en: str
    pt: str

    def __post_init__(self) -> None:
        if _names(self.en) != _names(self.pt):
            raise ValueError(f"not the same values in both languages: {self}")

    def say(self, language: Language, **values: object) -> str:
        """The text in this language with these values in their places."""
        return (self.pt if language is Language.PORTUGUESE else self.en).format(**values)


def _names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def language_of(environment: Mapping[str, str]) -> Language:
    """The language of the locale for messages (POSIX: LC_ALL, else LC_MESSAGES, else LANG); English for others."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environment.get(name))), "")
    return Language.PORTUGUESE if re.match(r"pt(?![A-Za-z])", locale) else Language.ENGLISH


def number(value: float, language: Language) -> str:
    """A number with one decimal, as the language writes it."""
    text = f"{value:.1f}"
    return text.replace(".", ",") if language is Language.PORTUGUESE else text


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number and what it counts, in English: 1 message, 2 messages.

    :param plural: where it is not the noun and an s.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
