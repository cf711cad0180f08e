"""The client's two languages."""

from __future__ import annotations

import pytest

from client.language import Language, Phrase, language_of, number


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, Language.ENGLISH),
        ({"LANG": "C.UTF-8"}, Language.ENGLISH),
        ({"LANG": "pt_BR.UTF-8"}, Language.PORTUGUESE),
        ({"LANG": "pt"}, Language.PORTUGUESE),
        ({"LANG": "pt@euro"}, Language.PORTUGUESE),
        ({"LANG": "ptolemaic"}, Language.ENGLISH),
        ({"LC_MESSAGES": "pt_PT", "LANG": "en_US"}, Language.PORTUGUESE),
        ({"LC_ALL": "C", "LC_MESSAGES": "pt_BR", "LANG": "pt_BR"}, Language.ENGLISH),
        ({"LC_ALL": "", "LANG": "pt_BR"}, Language.PORTUGUESE),
        ({"LC_CTYPE": "pt_BR"}, Language.ENGLISH),
    ],
)
def test_the_locale_for_messages_decides(environment: dict[str, str], language: Language) -> None:
    assert language_of(environment) is language


def test_a_text_has_its_values_in_both_languages() -> None:
    text = Phrase("{count} mails", "mensagens: {count}")
    assert text.say(Language.ENGLISH, count=2) == "2 mails"
    assert text.say(Language.PORTUGUESE, count=2) == "mensagens: 2"


def test_a_text_whose_languages_differ_in_their_values_is_none() -> None:
    with pytest.raises(ValueError, match="both languages"):
        Phrase("{count} mails", "mensagens")


def test_numbers_have_the_decimal_sign_of_the_language() -> None:
    assert (number(1.25, Language.ENGLISH), number(1.75, Language.PORTUGUESE)) == ("1.2", "1,8")
