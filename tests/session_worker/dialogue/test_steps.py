"""The dialogue as a function: total, repeatable, the same however lines are batched. Transcripts hold the rest."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.in_memory import MemoryStore
from session_worker.dialogue import state, steps
from session_worker.dialogue.state import NewerState, Recipient, Session, StateError, Transaction
from session_worker.dialogue.turn import HOLDS, Policy
from session_worker.faults.cue import Faults
from wire import limits
from wire.messages import (
    Body,
    Check,
    Client,
    Close,
    Connected,
    Disconnected,
    Input,
    Lines,
    Lookup,
    ReadBody,
    Step,
    StepDone,
    Told,
)
from wire.outcomes import Delivered, Discarded, Failed, Found, NoSuchUser, Staged, TimedOut, Unwritable, Writable
from wire.records import replace

_TIME = 1_795_417_555_000
_RULES = Policy(max_recipients=100, max_errors=4)
_USERS = ("maria@example.com", "josé@example.org")
_OUTCOMES = [
    Found("m@b"), Found("é@b", True), NoSuchUser(), Writable(), Unwritable("m", "r"), Staged(1), Delivered(False),
    Discarded(), Failed("disk_full", "d"), TimedOut(),
]  # fmt: skip
_LINES = [
    b"HELO example.org", b"EHLO example.org", b"helo", b"MAIL FROM:<a@example.org>", b"MAIL FROM:<> SMTPUTF8",
    b"MAIL TO: b@other.example", b"RCPT TO:<maria@example.com>", "RCPT TO:<josé@example.org>".encode(),
    b"RCPT TO:<x@y>", b'RCPT TO:<""@example.com>', b'VRFY ""',
    b"RCPT TO:<postmaster>", b"DATA", b"DATA x", b"RSET", b"NOOP", b"HELP", b"HELP x",
    b"VRFY maria", b"QUIT", b"EXPN x", b"", b"\x00", b"\xff", None, b"GET / HTTP/1.1",
]  # fmt: skip
_lines = st.lists(st.sampled_from(_LINES) | st.binary(max_size=20), max_size=25)


def _step(given: Input, session: Session | None = None) -> Step:
    if session is None:
        return Step("s-1", 1, _TIME, b"", given, message=1)
    return Step("s-1", 1, _TIME, state.encode(session), given, message=1, carry=state.carry(session))


def _after(done: StepDone, before: Session) -> Session:
    """The session as it is after a step that began with `before`."""
    return state.decode(done.state, state.carry(before) if done.carry is None else done.carry)


def _run(step: Step, store: MemoryStore | None = None, rules: Policy | None = None) -> StepDone:
    answers = store or MemoryStore(_USERS)
    talk = steps.run(rules or _RULES, step)
    try:
        question = next(talk)
        while True:
            question = talk.send(answers.answer(question) or TimedOut())
    except StopIteration as end:
        return end.value


def test_a_thousand_of_the_longest_addresses_of_one_mailbox_fit_a_state_and_a_delivery() -> None:
    """Each is named in the mailbox; one more is one too many."""
    rules, store = Policy(max_recipients=1000), MemoryStore([f"*@{'d' * 63}.{'e' * 63}.{'f' * 63}.{'g' * 57}"])
    (mailbox,) = store.users.mailboxes
    domain = mailbox[2:]
    session = Session("example.org", transaction=Transaction("a@example.org"))
    for begin in range(0, 1001, 100):
        lines = [f"RCPT TO:<{number:05}{'x' * 59}@{domain}>".encode() for number in range(begin, begin + 100)]
        done = _run(_step(Lines(tuple(lines * 2)[:128]), session), store, rules)
        if begin < 1000:
            assert b"\n452" not in done.replies
            session = _after(done, session)
        else:
            assert done.replies.startswith(b"452 4.5.3")
    session = _after(_run(_step(Lines((b"DATA",)), session), store, rules), session)
    assert len(state.encode(session)) < limits.MAX_STATE
    assert _run(_step(Body(b"", 0, True), session), store, rules).replies.startswith(b"250 2.0.0")
    assert store.mailboxes[mailbox].count(b"\nX-Original-To: ") == 1000


_START = Session()
_sessions = st.sampled_from(
    [
        _START,
        replace(_START, hello="example.org"),
        replace(_START, hello="example.org", extended=True, transaction=Transaction("a@b", utf8=True)),
        replace(_START, hello="h", transaction=Transaction("", recipients=(Recipient("m@b", "m@b"),))),
    ]
)


def _one_by_one(lines: list[bytes | None], session: Session) -> tuple[bytes, StepDone | None]:
    said, done = b"", None
    for line in lines:
        done = _run(_step(Lines((line,)), session))
        said += done.replies
        session = _after(done, session)
        if isinstance(done.next, ReadBody | Close):
            break
    return said, done


@given(_lines.filter(bool), _sessions)
def test_a_batch_is_the_same_as_its_lines_one_by_one(lines: list[bytes | None], session: Session) -> None:
    batch = _run(_step(Lines(tuple(lines)), session))
    said, last = _one_by_one(lines, session)
    assert last is not None
    assert (batch.replies, batch.state, batch.next) == (said, last.state, last.next)
    assert batch.state == state.encode(_after(batch, session))
    assert batch.in_transaction == last.in_transaction


@given(_lines.filter(bool), _sessions, st.data())
def test_no_line_and_no_outcome_raises_and_each_line_has_a_reply(
    lines: list[bytes | None], session: Session, data: st.DataObject
) -> None:
    talk = steps.run(_RULES, _step(Lines(tuple(lines)), session))
    try:
        next(talk)
        while True:
            talk.send(data.draw(st.sampled_from(_OUTCOMES)))
    except StopIteration as end:
        done: StepDone = end.value
    replies = [line for line in done.replies.split(b"\r\n") if line[3:4] == b" "]
    assert len(replies) == done.consumed
    assert [b"%d" % each.code for each in done.told] == [reply[:3] for reply in replies]
    assert done.consumed == len(lines) or isinstance(done.next, ReadBody | Close)
    _after(done, session)


@given(_lines.filter(bool), _sessions)
def test_a_step_that_is_run_again_gives_the_same(lines: list[bytes | None], session: Session) -> None:
    step = _step(Lines(tuple(lines)), session)
    store = MemoryStore(_USERS)
    assert _run(step, store) == _run(step, store)


@settings(max_examples=50)
@given(st.binary(max_size=60), st.sampled_from([Lines((b"NOOP",)), Body(b"", 0, True), Disconnected()]))
def test_garbage_for_a_state_is_told_apart_and_nothing_else_is_raised(octets: bytes, given: Input) -> None:
    with contextlib.suppress(StateError, NewerState):
        _run(replace(_step(given), state=octets))


def test_a_session_begins_with_a_greeting_and_whatever_state_came_along_is_nothing() -> None:
    done = _run(replace(_step(Connected()), state=b"garbage"))
    assert done.replies.startswith(b"220 correio.localhost ESMTP ")
    assert _after(done, Session()) == Session()
    assert not done.in_transaction


def test_a_session_that_the_gateway_greeted_goes_on_like_any_other() -> None:
    greeted = _run(_step(Connected()))
    assert steps.opening(_RULES) == greeted.replies
    line = Lines((b"EHLO example.org",))
    assert _run(Step("s-1", 1, 0, b"", line, "192.0.2.1")) == _run(Step("s-1", 1, 0, greeted.state, line))


def test_no_greeting_is_offered_where_a_failure_on_cue_may_come_instead() -> None:
    assert steps.opening(replace(_RULES, faults=Faults())) == b""


def test_command_lines_inside_a_message_are_a_fault_of_ours() -> None:
    reading = Transaction("", recipients=(Recipient("m@b", "m@b"),), reading=True)
    with pytest.raises(StateError):
        _run(_step(Lines((b"NOOP",)), replace(_START, hello="h", transaction=reading)))


def test_a_batch_with_long_replies_is_done_in_several_steps() -> None:
    left, session, said = (b"HELP",) * 128, replace(_START, hello="h"), b""
    while left:
        done = _run(_step(Lines(left), session))
        assert done.consumed
        assert len(done.replies) < 36 * 1024
        left, session, said = left[done.consumed :], _after(done, session), said + done.replies
    assert said == _run(_step(Lines((b"HELP",)), session)).replies * 128


def test_a_hundred_recipients_are_one_step() -> None:
    lines = (b"EHLO h.example", b"MAIL FROM:<>", *[b"RCPT TO:<maria@example.com>"] * 100, b"DATA")
    assert _run(_step(Lines(lines), _START)).consumed == len(lines)


def test_a_batch_stops_at_the_beginning_of_a_message() -> None:
    session = replace(_START, hello="h", transaction=Transaction("", recipients=(Recipient("m@b", "m@b"),)))
    done = _run(_step(Lines((b"NOOP", b"DATA", b"text")), session))
    assert (done.consumed, done.next) == (2, ReadBody(_RULES.max_message_octets))
    assert done.in_transaction


def test_the_store_is_asked_about_each_recipient_and_then_about_all_mailboxes() -> None:
    session = replace(_START, hello="h", transaction=Transaction(""))
    talk = steps.run(_RULES, _step(Lines((b"RCPT TO:<Maria@Example.com>", b"DATA")), session))
    assert next(talk) == Lookup("Maria", "example.com")
    assert talk.send(Found("maria@example.com")) == Check(("maria@example.com",))


_GREETED = replace(_START, hello="h", extended=True)
_BEGUN = replace(_GREETED, transaction=Transaction("a@b"))
_READY = replace(_BEGUN, transaction=Transaction("a@b", recipients=(Recipient("m@b", "m@b"),)))


@pytest.mark.parametrize(
    ("session", "lines", "holds"),
    [
        # A second where the state decides, and as long as the store says where that does.
        (_START, (b"HELO h",), HOLDS),
        (_START, (b"EHLO h",), HOLDS),
        (_GREETED, (b"MAIL FROM:<a@b>",), HOLDS),
        (_READY, (b"rset", b"NOOP x"), HOLDS),
        (_READY, (b"QUIT",), HOLDS),
        (_BEGUN, (b"RCPT TO:<maria@example.com>",), 300),
        (_GREETED, (b"MAIL FROM:<a@b>", b"RCPT TO:<maria@example.com>"), 300),
        (_READY, (b"DATA",), 250),
        (_BEGUN, (b"RCPT TO:<maria@example.com>", b"DATA"), 250),
        # Whether the store answers now, what is refused, what tells the sender, and what says who answered it.
        (_BEGUN, (b"RCPT TO:<postmaster>",), 0),
        (_BEGUN, (b"RCPT TO:<maria@example.com>", b"RCPT TO:<postmaster>"), 0),
        (_BEGUN, (b"RCPT TO:<nobody@example.com>",), 0),
        (_START, (b"NOOP", b"MAIL FROM:<a@b>"), 0),
        (_START, (b"VRFY maria@example.com",), 0),
        (_BEGUN, (b"HELP",), 0),
        (_START, (b"XEXPLAIN",), 0),
        (replace(_START, explained=True), (b"NOOP",), 0),
        (replace(_START, explained=True), (b"XEXPLAIN OFF", b"NOOP"), 0),
    ],
)
def test_it_is_told_for_how_long_an_answer_holds(session: Session, lines: tuple[bytes], holds: int) -> None:
    store = MemoryStore(_USERS)
    assert _run(_step(Lines(lines), session), store, replace(_RULES, explain=True)).holds == holds


def test_with_failures_on_cue_no_answer_holds() -> None:
    assert _run(_step(Lines((b"NOOP",)), _START), rules=replace(_RULES, faults=Faults())).holds == 0


def test_a_message_without_a_number_is_a_fault_of_ours() -> None:
    """Its delivery id would be that of another one."""
    reading = replace(_READY, transaction=replace(_READY.transaction, reading=True))
    with pytest.raises(StateError, match="older"):
        _run(replace(_step(Body(b"", 0, last=True), reading), message=0))


def test_a_fault_of_ours_is_apologised_for_unless_nobody_listens() -> None:
    apology = steps.apology(_RULES, _step(Lines((b"NOOP",))))
    assert apology.replies.startswith(b"421 4.3.0 ")
    assert apology.next == Close()
    assert steps.apology(_RULES, _step(Disconnected())).replies == b""
    # Of a message that has ended it must be told how, or the gateway takes it for no answer.
    assert steps.apology(_RULES, _step(Body(b"x", 0, True))).told == (Told("message", 421),)
    assert steps.apology(_RULES, _step(Body(b"x", 0, False))).told == ()


def test_of_each_line_the_verb_and_the_code_are_told_and_whether_it_is_secret() -> None:
    lines = (b"mail FROM:<a@example.org>", b"AUTH PLAIN AGFuYQBwYXNz", b"RCPT TO:<who@else>", b"who", b"expn x", None)
    told = _run(_step(Lines(lines), replace(_START, hello="example.org")), rules=Policy()).told
    assert [(each.verb, each.code) for each in told] == [
        ("MAIL", 250), ("AUTH", 502), ("RCPT", 550), ("", 500), ("EXPN", 502), ("", 500),
    ]  # fmt: skip
    assert [each.verb for each in told if each.secret] == ["AUTH"]


def test_of_a_message_that_has_ended_its_code_is_told_and_its_id_where_it_is_delivered() -> None:
    reading = replace(
        _START, hello="h", transaction=Transaction("", recipients=(Recipient(*_USERS[:1] * 2),), reading=True)
    )
    piece = _run(_step(Body(b"x", 0, False), reading))
    assert (piece.told, piece.delivery) == ((), "")
    done = _run(_step(Body(b"x", 0, True), reading))
    assert (done.told, done.delivery) == ((Told("message", 250),), "s-1.1")
    failed = _run(_step(Body(b"x", 0, True, too_big=True), reading))
    assert (failed.told, failed.delivery) == ((Told("message", 552),), "")


_senders = st.sampled_from([b"<>", b"<a@b>", "<josé@example.org>".encode()])


@given(_lines.filter(bool), _sessions, st.data())
def test_what_holds_for_others_depends_on_neither_carry_nor_client_nor_the_step_s_names(
    lines: list[bytes | None], session: Session, data: st.DataObject
) -> None:
    step = _step(Lines(tuple(lines)), session)
    done = _run(step, MemoryStore(_USERS))
    other = replace(step, session="s-2", seq=7, time=_TIME + 1, message=3, client=Client("::1"))
    if session.transaction is not None:
        other = replace(other, carry=data.draw(_senders))
    there = _run(other, MemoryStore(_USERS))
    if done.holds:
        assert replace(there, session="s-1", seq=1) == done


def test_the_sender_is_carried_from_mail_to_the_end_of_the_transaction() -> None:
    greeted = replace(_START, hello="example.org")

    def carry(*lines: bytes, session: Session = greeted) -> bytes | None:
        return _run(_step(Lines(lines), session)).carry

    begun = replace(greeted, transaction=Transaction("a@example.org"))
    assert carry(b"MAIL FROM:<a@example.org>") == b"<a@example.org>"
    assert carry(b"MAIL FROM:<>", b"RSET") is None
    assert carry(b"NOOP", session=begun) is None
    assert carry(b"RSET", session=begun) == b""
    # The same again, or another: whose answer this becomes may have had either.
    assert carry(b"RSET", b"MAIL FROM:<a@example.org>", session=begun) == b"<a@example.org>"


def test_a_step_without_the_state_or_the_sender_that_it_needs_is_refused() -> None:
    ready = _step(Body(b"x", 0, True), replace(_START, hello="h", transaction=Transaction("a@b", reading=True)))
    for wrong in (replace(ready, carry=b""), replace(ready, state=b"", seq=2), replace(ready, state=b"")):
        with pytest.raises(StateError):
            _run(wrong)


@given(_lines.filter(bool), _sessions)
def test_a_5xx_counts_against_the_session_and_after_too_many_it_ends(
    lines: list[bytes | None], session: Session
) -> None:
    done = _run(_step(Lines(tuple(lines)), session))
    errors = sum(each.code >= 500 for each in done.told)
    last = done.told[-1].code
    if last == 421:
        assert errors == _RULES.max_errors - session.errors
    elif not isinstance(done.next, Close):
        assert _after(done, session).errors == session.errors + errors <= _RULES.max_errors
