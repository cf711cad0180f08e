"""The grammar of failures on cue: every form is understood, and what is none is named."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_worker.faults.rules import MAX_DELAY_MS, Delay, Drop, Fail, Rule, RuleError, parse, word


@pytest.mark.parametrize(
    ("local", "rule"),
    [
        ("fail-452-4.2.2-at-rcpt", Rule("rcpt", Fail(452, "4.2.2"))),
        ("FAIL-550", Rule("rcpt", Fail(550, "5.0.0"))),
        ("ana+fail-451-at-end", Rule("end", Fail(451, "4.0.0"))),
        ("delay-5s", Rule("rcpt", Delay(5000))),
        ("delay-0.25s-at-data", Rule("data", Delay(250))),
        ("delay-200ms-at-250", Rule("250", Delay(200))),
        ("drop", Rule("rcpt", Drop())),
        ("ana+drop-at-250", Rule("250", Drop())),
    ],
)
def test_a_recipient_s_word_is_a_rule(local: str, rule: Rule) -> None:
    assert word(local) == rule


@pytest.mark.parametrize(
    "local",
    [
        "ana", "ana+lists", "fail", "fail-250", "fail-452-5.2.2", "fail-600", "fail-452-4.2.2-at-mail", "delay",
        "delay-5", "delay-5h", "delay-901s", "drop-5s", "drop-at-connect", "fail-451-at-250", "xdrop", "drop+ana", "",
    ],
)  # fmt: skip
def test_what_is_no_word_is_an_address_like_any_other(local: str) -> None:
    assert word(local) is None


def test_rules_stand_on_lines_or_behind_semicolons_and_may_be_commented() -> None:
    text = """
    # what a busy server does
    at rcpt to ana@* from *@b.example nth 2 fail 452 4.2.2 Mailbox full  # said so

    at data connection 3 chance 0.25 delay 1.5s; at connect drop"""
    assert parse(text) == (
        Rule("rcpt", Fail(452, "4.2.2", "Mailbox full"), sender="*@b.example", recipient="ana@*", nth=2),
        Rule("data", Delay(1500), connection=3, chance=0.25),
        Rule("connect", Drop()),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rcpt drop", 'rule 1, "rcpt drop": begins with "at" and one of connect'),
        ("at lunch drop", "begins with"),
        ("at rcpt", "there is no action"),
        (
            "at rcpt explode",
            '"explode" is neither a condition (from, to, nth, connection, chance) nor an action (fail',
        ),
        ("at noop drop; at rcpt nth", 'rule 2, "at rcpt nth": "nth" needs a value'),
        ("at rcpt nth 0 drop", '"0" is no number'),
        ("at rcpt chance 2 drop", "no chance from 0 to 1"),
        ("at rcpt fail", "needs a code"),
        ("at rcpt fail 250", "needs a code"),
        ("at rcpt fail 550 4.1.1", "different classes"),
        ("at rcpt fail 550 olá", "ASCII"),
        ("at rcpt delay soon", "needs a time"),
        (f"at rcpt delay {MAX_DELAY_MS + 1}ms", "at most 900 s"),
        ("at rcpt drop now", "drop takes nothing"),
        ("at mail to ana@* drop", "no recipient is known"),
        ("at helo from ana@* drop", "no sender is known"),
        ("at 250 fail 451", "must not be answered by a failure"),
    ],
)
def test_a_bad_rule_is_named_with_what_is_wrong_with_it(text: str, said: str) -> None:
    with pytest.raises(RuleError) as raised:
        parse(text)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text(st.sampled_from("fail-452.+drop@tne0 5delysm"), max_size=30) | st.text(max_size=30))
def test_any_text_is_a_word_or_none_and_any_rules_are_taken_or_refused(text: str) -> None:
    word(text)
    with contextlib.suppress(RuleError):
        assert all(isinstance(rule, Rule) for rule in parse(text))
