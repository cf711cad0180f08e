"""What is foreseen is what is answered when it comes; and what cannot be known beforehand is not foreseen."""

from __future__ import annotations

import pytest

from session_worker.dialogue import steps
from session_worker.dialogue.rules import Faults, Rules
from session_worker.dialogue.state import Recipient, Session, Transaction, carry, decode, encode
from wire.messages import Foreseen, Input, Lines, ReadBody, Step, StepDone
from wire.outcomes import Found, Outcome, Writable
from wire.records import replace

NOW = 1_795_417_555_000
EPOCH = 7
MAIL = Transaction("a@example.org")
READY = replace(MAIL, recipients=(Recipient("maria@example.com", "maria@example.com"),), epoch=EPOCH)
SESSION = Session("example.org", True)


def done(session: Session, given: Input, *outcomes: Outcome, rules: Rules | None = None, time: int = NOW) -> StepDone:
    """The answer to a step, with what the store says in it."""
    talk = steps.run(rules or Rules(), Step("s-1", 3, time, encode(session), given, carry=carry(session)))
    told: Outcome | None = None
    waiting = list(outcomes)
    try:
        while True:
            talk.send(told)  # type: ignore[arg-type]  # None begins a generator
            told = waiting.pop(0)
    except StopIteration as end:
        answer: StepDone = end.value
        return answer


def rcpt(session: Session, *, writable: bool = True, rules: Rules | None = None) -> tuple[Foreseen, ...]:
    line = b"RCPT TO:<maria@example.com>"
    return done(session, Lines((line,)), Found("maria@example.com", writable, EPOCH), rules=rules).foreseen


def test_after_a_recipient_data_is_foreseen_as_it_would_be_answered() -> None:
    (seen,) = rcpt(replace(SESSION, transaction=MAIL))
    asked = done(replace(SESSION, transaction=READY), Lines((b"DATA",)), Writable(EPOCH))
    assert seen == Foreseen(
        (b"DATA", b"data"), 0, asked.state, asked.replies, asked.next, asked.in_transaction, EPOCH
    )
    assert isinstance(seen.next, ReadBody)
    mail = decode(seen.state, b"<>").transaction
    assert mail is not None
    assert mail.reading


@pytest.mark.parametrize(
    ("session", "line"),
    [
        (Session(), b"NOOP"),
        (Session(), b"EHLO example.org"),
        (SESSION, b"MAIL FROM:<a@example.org>"),
        (replace(SESSION, transaction=READY), b"DATA"),
        (SESSION, b"QUIT"),
    ],
)
def test_nothing_is_foreseen_where_nobody_knows_what_comes(session: Session, line: bytes) -> None:
    assert done(session, Lines((line,)), Writable(EPOCH)).foreseen == ()


def test_data_is_not_foreseen_while_it_is_not_known_that_all_can_be_written() -> None:
    assert rcpt(replace(SESSION, transaction=MAIL), writable=False) == ()
    assert rcpt(replace(SESSION, transaction=replace(READY, epoch=0))) == ()
    # Each could in another epoch, so nobody knows whether both can in one.
    other = replace(MAIL, recipients=(Recipient("joao@example.com", "joao@example.com"),), epoch=EPOCH - 1)
    assert rcpt(replace(SESSION, transaction=other)) == ()


def test_sessions_that_are_explained_and_failures_on_cue_take_each_step() -> None:
    begun = replace(SESSION, transaction=MAIL)
    assert rcpt(replace(begun, explained=True), rules=Rules(explain=True)) == ()
    assert rcpt(begun, rules=Rules(faults=Faults())) == ()


def test_lines_that_come_again_void_what_is_behind_them() -> None:
    answer = done(SESSION, Lines((b"HELP",) * 128))
    assert answer.consumed < 128
    assert answer.foreseen == ()
