"""XEXPLAIN: what an explained session is told."""

from __future__ import annotations

import pytest

from session_worker.dialogue import explain, replies
from session_worker.dialogue.replies import Refusal
from session_worker.dialogue.state import Recipient, Session, Transaction
from session_worker.dialogue.transaction import Command
from session_worker.dialogue.turn import Context, Policy, Turn
from wire.records import replace

_RULES = Policy(explain=True, worker="4711@host")
_SESSION = Session(hello="example.org", explained=True)
_MAIL = Transaction("a@example.org", recipients=(Recipient("m@b", "m@b"),))


def _context(session: Session = _SESSION, rules: Policy = _RULES) -> Context:
    return Context(rules, "s-1", 0, session, 7, 2)


def test_the_worker_and_the_step_come_first_then_what_changed() -> None:
    turn = Turn(replace(_SESSION, transaction=_MAIL), replies.NOOP)
    reply = explain.explained(_context(), turn).reply
    assert reply is not None
    assert reply.lines == (
        *replies.NOOP.lines,
        "XEXPLAIN worker 4711@host step 7",
        "XEXPLAIN phase: greeted -> recipients",
        "XEXPLAIN sender: (none) -> <a@example.org>",
        "XEXPLAIN recipients: 0 -> 1",
        "XEXPLAIN delivery: (none) -> s-1.2",
    )


def test_a_turn_that_changes_nothing_has_its_worker_alone() -> None:
    reply = explain.explained(_context(), Turn(_SESSION, replies.NOOP)).reply
    assert reply is not None
    assert reply.lines[1:] == ("XEXPLAIN worker 4711@host step 7",)


def test_a_turn_without_a_reply_stays_silent() -> None:
    turn = Turn(_SESSION, None)
    assert explain.explained(_context(), turn) is turn


def test_a_worker_that_does_not_offer_it_explains_no_session_of_one_that_did() -> None:
    turn = Turn(_SESSION, replies.NOOP)
    assert explain.explained(_context(rules=Policy()), turn) is turn


def test_long_addresses_and_letters_beyond_ascii_fit_any_reply() -> None:
    mail = replace(_MAIL, sender="é" * 200 + "@example.org")
    reply = explain.explained(_context(), Turn(replace(_SESSION, transaction=mail), replies.NOOP)).reply
    assert reply is not None
    octets = reply.render()
    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= replies.MAX_REPLY_LINE - 2


@pytest.mark.parametrize(("argument", "explained"), [("ON", True), ("on", True), ("OFF", False)])
def test_it_is_switched_for_the_session(argument: str, explained: bool) -> None:
    turn = explain.xexplain(_context(replace(_SESSION, explained=not explained)), Command("XEXPLAIN", argument))
    assert turn.session.explained is explained


def test_alone_it_shows_the_whole_session_and_changes_nothing() -> None:
    session = replace(_SESSION, extended=True, transaction=_MAIL, errors=3)
    turn = explain.xexplain(_context(session), Command("XEXPLAIN", ""))
    assert turn.session is session
    assert turn.reply is not None
    assert turn.reply.lines == (
        "worker 4711@host step 7",
        "phase: recipients",
        "hello: EHLO example.org",
        "sender: <a@example.org>",
        "recipients: 1",
        "delivery: s-1.2",
        "errors: 3",
    )


@pytest.mark.parametrize(("rules", "argument", "code"), [(Policy(), "ON", 502), (_RULES, "MAYBE", 501)])
def test_it_is_refused_where_it_is_off_or_misspelt(rules: Policy, argument: str, code: int) -> None:
    with pytest.raises(Refusal) as refusal:
        explain.xexplain(_context(rules=rules), Command("XEXPLAIN", argument))
    assert refusal.value.reply.code == code
