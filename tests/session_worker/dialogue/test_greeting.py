"""HELO and EHLO: what is offered, and the parameters of MAIL that come with it. Transcripts have the refusals."""

from __future__ import annotations

import pytest

from session_worker.dialogue import greeting
from session_worker.dialogue.replies import Refusal
from session_worker.dialogue.state import Session, Transaction
from session_worker.dialogue.turn import Command, Context, Policy
from wire.records import replace

_SESSION = Session("before.example", transaction=Transaction("a@b"))


def _turn(verb: str, policy: Policy) -> tuple[Session, tuple[str, ...]]:
    turn = greeting.hello(Context(policy, "s-1", 0, _SESSION), Command(verb, "h.example"))
    assert turn.reply is not None
    return turn.session, turn.reply.lines


@pytest.mark.parametrize(("verb", "extended"), [("HELO", False), ("EHLO", True)])
def test_a_greeting_drops_the_transaction_and_names_the_client(verb: str, *, extended: bool) -> None:
    assert _turn(verb, Policy())[0] == Session("h.example", extended)


def test_what_is_switched_off_is_not_offered() -> None:
    offered = set(_turn("EHLO", Policy(explain=True, max_message_octets=7))[1][1:])
    assert {"SIZE 7", "8BITMIME", "SMTPUTF8", "VRFY", "XEXPLAIN"} < offered
    assert offered - set(_turn("EHLO", Policy(vrfy=False, max_message_octets=7))[1]) == {"VRFY", "XEXPLAIN"}


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("SIZE", ["1", "0", "100"], [None, "", "x", "101", "1" * 21]),
        ("BODY", ["7bit", "8BITMIME"], [None, "BINARYMIME"]),
        ("SMTPUTF8", [None], ["", "1"]),
    ],
)
def test_a_parameter_of_mail_is_looked_at(parameter: str, good: list[str | None], bad: list[str | None]) -> None:
    policy, check = replace(Policy(), max_message_octets=100), greeting.MAIL_PARAMETERS[parameter]
    for value in good:
        check(policy, value)
    for value in bad:
        with pytest.raises(Refusal):
            check(policy, value)
