"""The SMTP dialogue: a pure function of (state, input, the store's answers).

Theory of operation. A session is in one of the phases of `state.Phase`, and a step moves it on. `_TABLE` says which
command may come in which phase and which handler serves it; an entry that is missing there is a command out of order,
and `_out_of_order` says what should have come first. A handler returns a `Turn`: the session after it, a reply and
what to read next. One that needs the store is a generator: it yields questions and is resumed with their outcomes.
What breaks a rule raises `Refusal`, with its reply. The rest of a step is the same for all commands: lines are served
until one of them changes what is to be read, replies are joined, errors are counted.

There is no socket, file, clock or log in here, and nothing is remembered: the same step with the same outcomes gives
the same result. No input of a client raises; `StateError` and `NewerState` are about what the gateway sent.

An extension gets its verbs as rows of `_TABLE`, its line in `_extensions`, its parameters in `transaction.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator

from session_worker.dialogue import explain, grammar, message, replies, state
from session_worker.dialogue import transaction as commands
from session_worker.dialogue import verbs as help
from session_worker.dialogue.replies import Refusal, Reply
from session_worker.dialogue.rules import Rules, SenderDomainRule
from session_worker.dialogue.state import Phase, Recipient, Session, StateError, Transaction
from session_worker.dialogue.transaction import Command
from session_worker.dialogue.turn import HOLDS, MESSAGE, OTHER, READ_LINES, Context, Handler, Talk, Turn
from session_worker.faults import cue as faults
from wire.messages import (
    Body,
    Check,
    Close,
    Connected,
    Disconnected,
    Injected,
    Lines,
    Lookup,
    Next,
    Question,
    ReadBody,
    ReadLines,
    Step,
    StepDone,
    Told,
)
from wire.outcomes import Found, NoSuchUser, NotOurDomain, Outcome, Writable
from wire.records import replace

# Octets of replies after which a step ends though it has more lines. Those to MAIL, 100 RCPT and DATA fit; those to
# 128 HELP do not, which thousands of sessions could ask for at once.
_SAID_ENOUGH = 32 * 1024


def run(rules: Rules, step: Step) -> Generator[Question, Outcome, StepDone]:
    """Run one step: yields questions, is resumed with outcomes, returns what the gateway is told.

    :raises StateError: for a state that is none, or an input that does not belong to it.
    :raises NewerState: for a state of a newer release.
    """
    if isinstance(step.input, Connected):
        turn = Turn(Session(), replies.greeting(rules.domain))
        if rules.faults is not None:
            turn = faults.connected(rules.faults, Context(rules, step.session, step.time, turn.session), turn)
        return _done(step, Session(), turn.session, turn.reply.render() if turn.reply else b"", turn.next)
    # Without a state the gateway said the `opening`, and this is the session's first step.
    first = not step.state and step.seq <= 1
    session = Session() if first and not step.carry else state.decode(step.state, step.carry)
    context = Context(rules, step.session, step.time, session, step.seq, step.message, step.client)
    if isinstance(step.input, Lines):
        return (yield from _lines(context, step, step.input.lines))
    if isinstance(step.input, Body):
        if not step.message:
            raise StateError("a message without a number: the gateway is older than this worker")
        if rules.faults is not None and step.input.last:
            turn = yield from faults.end(rules.faults, context, step.input, message.piece)
        else:
            turn = yield from message.piece(context, step.input)
        told = (Told(MESSAGE, turn.reply.code if turn.reply else 0),) if step.input.last else ()
        if session.explained:
            turn = explain.explained(context, turn)
    else:
        turn, told = (yield from message.abandoned(context)), ()
    said = turn.reply.render() if turn.reply else b""
    return _done(step, session, turn.session, said, turn.next, told=told, delivery=turn.delivery)


def opening(rules: Rules) -> bytes:
    """The greeting, if it is the same for every client; empty where a failure on cue could come in its place."""
    return b"" if rules.faults is not None else replies.greeting(rules.domain).render()


def apology(rules: Rules, step: Step) -> StepDone:
    """What the gateway is told of a step that failed by a fault of ours: apologise and close."""
    lost = isinstance(step.input, Disconnected)
    return StepDone(
        step.session, step.seq, 0, step.state, b"" if lost else replies.our_fault(rules.domain).render(), Close()
    )


def _done(
    step: Step,
    before: Session,
    after: Session,
    said: bytes,
    then: Next,
    *,
    consumed: int = 0,
    told: tuple[Told, ...] = (),
    holds: int = 0,
    begun: bool = False,
    delivery: str = "",
) -> StepDone:
    """:param begun: the transaction that is under way after the step began in it."""
    mail = after.transaction
    ended = mail is None and before.transaction is not None
    # Whether there is something to carry must not depend on what was: others are answered the same (`holds`).
    carry = state.carry(after) if begun or ended else None
    return StepDone(
        step.session, step.seq, consumed, state.encode(after), said, then, mail is not None,
        holds=holds, carry=carry, told=told, delivery=delivery,
    )  # fmt: skip


def _lines(context: Context, step: Step, lines: tuple[bytes | None, ...]) -> Generator[Question, Outcome, StepDone]:
    """Command lines, up to one that changes what is to be read."""
    if context.session.phase is Phase.MESSAGE:
        raise StateError("command lines in the middle of a message")
    said, told, begun = b"", list[Told](), False
    # A failure on cue may depend on anything; an explanation, below, names its step.
    holds = HOLDS if context.rules.faults is None else 0
    before = context.session
    then: Next = READ_LINES
    consumed = 0
    while consumed < len(lines) and isinstance(then, ReadLines) and len(said) <= _SAID_ENOUGH:
        verb, turn = yield from _line(context, lines[consumed])
        if isinstance(turn.next, Injected) and said:
            # What was said before must not wait with it: the line comes again, first in the next step.
            break
        consumed += 1
        told.append(Told(verb, turn.reply.code if turn.reply else 0, verb in _SECRET))
        holds, then = min(holds, turn.holds), turn.next
        if turn.session.explained:
            holds, turn = 0, explain.explained(context, turn)
        said += turn.reply.render() if turn.reply else b""
        mail = turn.session.transaction
        begun = mail is not None and (begun or context.session.transaction is None)
        context = context.after(turn.session)
    # After the loop: what is left is text of a message, or nobody listens to it any more, or it comes again.
    return _done(
        step, before, context.session, said, then, consumed=consumed, told=tuple(told), holds=holds, begun=begun
    )


def _line(context: Context, line: bytes | None) -> Generator[Question, Outcome, tuple[str, Turn]]:
    """One command line: parsed, served, and counted if it was wrong; gives the verb too, or `OTHER`."""
    verb = OTHER
    try:
        command = commands.parse(line)
        if command.verb in _VERBS:
            verb = command.verb
        if context.rules.faults is None:
            served = _serve(context, command)
            turn = served if isinstance(served, Turn) else (yield from served)
        else:
            turn = yield from faults.command(context.rules.faults, context, command, _command)
    except Refusal as refusal:
        reply = replies.in_own_name(refusal.reply, context.session.hello)
        turn = Turn(context.session, reply, Close() if refusal.close else ReadLines())
    if turn.reply is None or not turn.reply.is_error or isinstance(turn.next, Close):
        return verb, turn
    session = replace(turn.session, errors=turn.session.errors + 1)
    if session.errors > context.rules.max_errors:
        return verb, Turn(session, replies.too_many_errors(context.rules.max_errors), Close())
    return verb, replace(turn, session=session)


def _serve(context: Context, command: Command) -> Turn | Talk:
    phase = context.session.phase
    handler = _TABLE[phase].get(command.verb)
    if handler is None:
        raise Refusal(_out_of_order(phase, command.verb))
    return handler(context, command)


def _command(context: Context, command: Command) -> Talk:
    served = _serve(context, command)
    return served if isinstance(served, Turn) else (yield from served)


def _out_of_order(phase: Phase, verb: str) -> Reply:
    if verb in _NOT_OFFERED:
        return replies.not_implemented(verb)
    if verb not in help.COMMANDS:
        similar = difflib.get_close_matches(verb[:8].upper(), help.COMMANDS, n=1)
        return replies.not_recognized(verb, "".join(similar), help.next_example(phase))
    if phase is Phase.CONNECTED:
        return replies.say_hello_first(verb)
    if verb == "MAIL":
        return replies.nested()
    return replies.no_recipient() if phase is Phase.SENDER else replies.sender_first(verb)


# ---------------------------------------------------------------- greeting


def _hello(context: Context, command: Command) -> Turn:
    """HELO and EHLO (RFC 5321 section 4.1.1.1): at any time, and any transaction is dropped."""
    rules = context.rules
    name = commands.hello(rules, command)
    extended = command.verb == "EHLO"
    session = replace(context.session, hello=name, extended=extended, transaction=None)
    if extended:
        return Turn(session, replies.ehlo(rules.domain, name, _extensions(rules)), holds=HOLDS)
    return Turn(session, replies.helo(rules.domain, name), holds=HOLDS)


def _extensions(rules: Rules) -> list[str]:
    """What is offered, as lines of EHLO's reply: RFC 2920, 1870, 6152, 6531, 2034, 5321."""
    return [
        "PIPELINING",
        f"SIZE {rules.max_message_octets}",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        *(["VRFY"] if rules.vrfy else []),
        *([explain.KEYWORD] if rules.explain else []),
        "HELP",
    ]


# ---------------------------------------------------------------- the transaction


def _mail(context: Context, command: Command) -> Turn:
    """MAIL (RFC 5321 section 4.1.1.2) begins a transaction."""
    session = context.session
    said = commands.mail(context.rules, command, extended=session.extended)
    if said.sender and _bound(context) not in ("", said.domain):
        raise Refusal(replies.foreign_sender("EHLO" if session.extended else "HELO", session.hello))
    begun = replace(session, transaction=Transaction(said.sender, said.utf8))
    return Turn(begun, replies.sender_ok(said.sender, said.hints, utf8=said.utf8), holds=HOLDS)


def _bound(context: Context) -> str:
    """The domain that the sender must be of, that of the greeting; "" for any, as where the name is no domain."""
    rule = context.rules.sender_domain_rule
    bound = rule is SenderDomainRule.ALWAYS or (rule is SenderDomainRule.HELO and not context.session.extended)
    return grammar.domain_of(context.session.hello) if bound else ""


def _rcpt(context: Context, command: Command) -> Talk:
    """RCPT (RFC 5321 section 4.1.1.3); a mailbox of several recipients gets the message once, which names them all.

    Postmaster without a domain, which every server has (section 4.5.1), is how probes ask whether the store answers
    now: that is never answered again.
    """
    mail = _transaction(context)
    wanted = commands.rcpt(context.rules, command, utf8=mail.utf8)
    outcome = yield Lookup(wanted.local, wanted.domain)
    if not isinstance(outcome, Found):
        raise Refusal(replies.refused(outcome, wanted.given))
    recipient = Recipient(wanted.given, outcome.mailbox)
    if recipient not in mail.recipients:
        if len(mail.recipients) >= context.rules.max_recipients:
            raise Refusal(replies.too_many_recipients(context.rules.max_recipients))
        mail = replace(mail, recipients=(*mail.recipients, recipient))
    session = replace(context.session, transaction=mail)
    said = replies.recipient_ok(wanted.given, wanted.hints, utf8=mail.utf8)
    return Turn(session, said, holds=outcome.holds)


def _data(context: Context, command: Command) -> Talk:
    """DATA (RFC 5321 section 4.1.1.4), once every mailbox can be written."""
    commands.nothing(command)
    mail = _transaction(context)
    outcome = yield Check(mail.mailboxes)
    if not isinstance(outcome, Writable):
        raise Refusal(replies.refused(outcome, ""))
    session = replace(context.session, transaction=replace(mail, reading=True))
    then = ReadBody(context.rules.max_message_octets)
    return Turn(session, replies.start_message(), then, outcome.holds)


def _transaction(context: Context) -> Transaction:
    mail = context.session.transaction
    assert mail is not None, "the table gives no such command outside of a transaction"
    return mail


# ---------------------------------------------------------------- at any time


def _rset(context: Context, command: Command) -> Turn:
    commands.nothing(command)
    said = replies.in_own_name(replies.reset(greeted=bool(context.session.hello)), context.session.hello)
    return Turn(replace(context.session, transaction=None), said, holds=HOLDS)


def _noop(context: Context, _command: Command) -> Turn:
    return Turn(context.session, replies.noop(), holds=HOLDS)


def _quit(context: Context, command: Command) -> Turn:
    commands.nothing(command)
    said = replies.farewell(context.rules.domain)
    return Turn(replace(context.session, transaction=None), said, Close(), HOLDS)


def _vrfy(context: Context, command: Command) -> Talk:
    wanted = commands.vrfy(command)
    if not context.rules.vrfy:
        return Turn(context.session, replies.not_verifying())
    outcome = yield Lookup(wanted.local, wanted.domain)
    if isinstance(outcome, NoSuchUser | NotOurDomain):
        raise Refusal(replies.no_such_user(wanted.given, outcome.why if isinstance(outcome, NoSuchUser) else ""))
    if not isinstance(outcome, Found):
        raise Refusal(replies.refused(outcome, wanted.given))
    if not outcome.mailbox.isascii() and not wanted.utf8:
        return Turn(context.session, replies.verified_only_in_utf8())
    return Turn(context.session, replies.verified(outcome.mailbox, utf8=wanted.utf8))


def _help(context: Context, command: Command) -> Turn:
    session = context.session
    utf8 = session.transaction is not None and session.transaction.utf8
    verb = command.argument.upper()
    if verb and verb not in help.COMMANDS:
        raise Refusal(replies.no_help(command.argument, ", ".join(help.COMMANDS)))
    allowed = _TABLE[session.phase]
    lines = help.command(verb, session, allowed) if verb else help.overview(session, allowed)
    return Turn(session, replies.help_text(*lines, utf8=utf8))


_ANY_TIME: dict[str, Handler] = {
    "HELO": _hello,
    "EHLO": _hello,
    "RSET": _rset,
    "NOOP": _noop,
    "VRFY": _vrfy,
    "HELP": _help,
    "QUIT": _quit,
    # Not among HELP's: it is for programs that show people more than SMTP says.
    explain.KEYWORD: explain.xexplain,
}
_TABLE: dict[Phase, dict[str, Handler]] = {
    Phase.CONNECTED: _ANY_TIME,
    Phase.GREETED: _ANY_TIME | {"MAIL": _mail},
    Phase.SENDER: _ANY_TIME | {"RCPT": _rcpt},
    Phase.RECIPIENTS: _ANY_TIME | {"RCPT": _rcpt, "DATA": _data},
}
# Verbs of RFC 5321 and of extensions that this server does not offer.
_NOT_OFFERED = frozenset({"EXPN", "TURN", "ETRN", "AUTH", "STARTTLS", "BDAT"})
# What replies are counted by: no client can make more of them.
_VERBS = frozenset({*help.COMMANDS, explain.KEYWORD, *_NOT_OFFERED})
# What follows them may be a password (RFC 4954 section 4: initial-response).
_SECRET = frozenset({"AUTH"})
