"""Reading a message: what the store is asked, in which order, and what is read next."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from session_worker.dialogue import message
from session_worker.dialogue.state import TIMED_OUT, Recipient, Session, StateError, Transaction
from session_worker.dialogue.turn import Context, Policy, Talk, Turn
from wire.messages import Body, Close, Deliver, Discard, Question, ReadBody, ReadLines, Stage
from wire.outcomes import DISK_FULL, TROUBLE, Delivered, Discarded, Failed, Outcome, Staged, TimedOut
from wire.records import replace

_RECIPIENTS = (Recipient("m@b", "m@b"), Recipient("j@b", "j@b"))
_MAIL = Transaction("a@example.org", recipients=_RECIPIENTS, reading=True)
_SESSION = Session("example.org", transaction=_MAIL)
_TIME = 1_795_417_555_000


def _context(mail: Transaction = _MAIL, rules: Policy | None = None) -> Context:
    session = replace(_SESSION, transaction=mail)
    return Context(rules or Policy(max_message_octets=100), "s-1", _TIME, session, message=2)


def _run(talk: Talk, outcomes: Sequence[Outcome]) -> tuple[list[Question], Turn]:
    questions, answers = [], iter(outcomes)
    try:
        questions.append(next(talk))
        while True:
            questions.append(talk.send(next(answers)))
    except StopIteration as end:
        assert list(answers) == []
        return questions, end.value


def _codes(turn: Turn) -> str:
    assert turn.reply is not None
    return f"{turn.reply.code} {turn.reply.enhanced}"


def test_a_small_message_is_one_delivery() -> None:
    (deliver,), turn = _run(message.piece(_context(), Body(b"A: b\n", 0, True)), [Delivered(False)])
    assert isinstance(deliver, Deliver)
    assert (deliver.delivery, deliver.time, deliver.sender) == ("s-1.2", _TIME, "a@example.org")
    assert (deliver.mailboxes, deliver.staged, deliver.data) == (("m@b", "j@b"), 0, b"A: b\n")
    assert deliver.trace.startswith(b"Received: from example.org ")
    assert _codes(turn) == "250 2.0.0"
    assert turn.reply is not None
    assert "s-1.2" in turn.reply.lines[0]
    assert (turn.session.transaction, turn.next) == (None, ReadLines())


def test_recipients_with_other_addresses_than_their_mailbox_s_are_named() -> None:
    given = [
        ("M@b", "m@b"),
        ("m+x@b", "m@b"),
        ("postmaster", "j@b"),
        ('"m"@B', "m@b"),
        ("who@c", "*@c"),
        ("m+y@b", "m@b"),
    ]
    mail = replace(_MAIL, recipients=tuple(Recipient(*each) for each in given))
    (deliver,), _ = _run(message.piece(_context(mail), Body(b"", 0, True)), [Delivered(False)])
    assert isinstance(deliver, Deliver)
    assert deliver.mailboxes == ("m@b", "j@b", "*@c")
    assert deliver.originals == ((0, "m+x@b"), (1, "postmaster"), (2, "who@c"), (0, "m+y@b"))
    assert b"for <" not in deliver.trace


def test_a_repeat_is_told_the_same() -> None:
    first = _run(message.piece(_context(), Body(b"", 0, True)), [Delivered(False)])
    assert _run(message.piece(_context(), Body(b"", 0, True)), [Delivered(True)]) == first


def test_a_piece_is_staged_and_what_remains_of_the_limit_is_read_next() -> None:
    questions, turn = _run(message.piece(_context(), Body(b"x" * 60, 0, False)), [Staged(60)])
    assert questions == [Stage("s-1.2", 0, b"x" * 60)]
    assert turn.session.transaction == replace(_MAIL, staged=60)
    assert (turn.reply, turn.next) == (None, ReadBody(40))


def test_the_last_piece_delivers_what_was_staged() -> None:
    context = _context(replace(_MAIL, staged=60))
    (deliver,), _ = _run(message.piece(context, Body(b"end", 60, True)), [Delivered(False)])
    assert isinstance(deliver, Deliver)
    assert (deliver.staged, deliver.data) == (60, b"end")


@pytest.mark.parametrize(
    ("outcome", "failure"), [(Failed(DISK_FULL, ""), DISK_FULL), (TimedOut(), TIMED_OUT), (Delivered(False), TROUBLE)]
)
def test_a_piece_that_cannot_be_kept_is_remembered_until_the_true_end(outcome: Outcome, failure: str) -> None:
    _, turn = _run(message.piece(_context(), Body(b"x", 0, False)), [outcome])
    assert turn.session.transaction == replace(_MAIL, failure=failure)
    assert (turn.reply, turn.next) == (None, ReadBody(0))


def test_after_a_failure_nothing_more_is_staged_and_the_failure_is_said_at_the_end() -> None:
    failed = _context(replace(_MAIL, staged=60, failure=DISK_FULL))
    questions, turn = _run(message.piece(failed, Body(b"x", 70, False)), [])
    assert (questions, turn.next) == ([], ReadBody(0))
    questions, turn = _run(message.piece(failed, Body(b"", 70, True, too_big=True)), [Discarded()])
    assert questions == [Discard("s-1.2")]
    assert _codes(turn) == "452 4.3.1"
    assert turn.session.transaction is None


def test_a_store_that_did_not_answer_is_not_asked_to_discard() -> None:
    failed = _context(replace(_MAIL, staged=60, failure=TIMED_OUT))
    questions, turn = _run(message.piece(failed, Body(b"", 60, True)), [])
    assert (questions, _codes(turn)) == ([], "451 4.3.2")


@pytest.mark.parametrize("staged", [0, 60])
def test_a_message_too_big_is_discarded_where_something_was_staged(staged: int) -> None:
    outcomes = [Discarded()] if staged else []
    context = _context(replace(_MAIL, staged=staged))
    questions, turn = _run(message.piece(context, Body(b"", staged, True, too_big=True)), outcomes)
    assert questions == ([Discard("s-1.2")] if staged else [])
    assert _codes(turn) == "552 5.3.4"


def test_bare_line_ends_are_refused_by_the_strict_profile_alone() -> None:
    body = Body(b"a\rb\n", 0, True, bare=True)
    questions, turn = _run(message.piece(_context(rules=Policy(strict=True)), body), [])
    assert (questions, _codes(turn)) == ([], "550 5.5.2")
    _, turn = _run(message.piece(_context(), body), [Delivered(False)])
    assert _codes(turn) == "250 2.0.0"


def test_a_delivery_that_failed_leaves_no_pieces_behind() -> None:
    context = _context(replace(_MAIL, staged=60))
    outcomes = [Failed(TROUBLE, ""), TimedOut()]
    questions, turn = _run(message.piece(context, Body(b"", 60, True)), outcomes)
    assert questions[1:] == [Discard("s-1.2")]
    assert _codes(turn) == "451 4.3.0"


def test_a_client_that_vanished_leaves_no_pieces_behind() -> None:
    questions, turn = _run(message.abandoned(_context(replace(_MAIL, staged=60))), [Discarded()])
    assert questions == [Discard("s-1.2")]
    assert (turn.session.transaction, turn.reply, turn.next) == (None, None, Close())
    assert _run(message.abandoned(_context()), [])[0] == []


@pytest.mark.parametrize("mail", [None, replace(_MAIL, reading=False)])
def test_a_piece_of_no_message_is_a_fault_of_ours(mail: Transaction | None) -> None:
    context = replace(_context(), session=replace(_SESSION, transaction=mail))
    with pytest.raises(StateError):
        next(message.piece(context, Body(b"", 0, True)))


def test_a_gap_between_pieces_is_a_fault_of_ours() -> None:
    with pytest.raises(StateError, match="offset 61"):
        next(message.piece(_context(replace(_MAIL, staged=60)), Body(b"", 61, True)))
