"""A step of a session: a pure function of (state, input, the store's answers).

Theory of operation. A session is in one of the phases of `state.Phase`, and a step moves it on. The table in
`verbs.py` says which command may come in which phase and which handler serves it. A handler returns a `Turn`: the
session after it, a reply and what to read next. One that needs the store is a generator: it yields questions and is
resumed with their outcomes. What breaks a rule raises `Refusal`, with its reply.

The rest of a step is the same for all commands: lines are served until one of them changes what is to be read,
replies are joined, errors are counted, and the gateway is told what became of each line and for how long that holds.

There is no socket, file, clock or log in here, and nothing is remembered: the same step with the same outcomes gives
the same result. No input of a client raises; `StateError` and `NewerState` are about what the gateway sent.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from session_worker.dialogue import explain, message, replies, state, verbs
from session_worker.dialogue.replies import Refusal
from session_worker.dialogue.state import Phase, Session, StateError
from session_worker.dialogue.turn import HOLDS, READ_LINES, Command, Context, Policy, Talk, Turn
from session_worker.dialogue.verbs import VERBS, Verb
from wire.messages import (
    Body,
    Close,
    Connected,
    Disconnected,
    Injected,
    Lines,
    Next,
    Question,
    ReadLines,
    Step,
    StepDone,
    Told,
)  # fmt: skip
from wire.outcomes import Outcome
from wire.records import replace

# Octets of replies after which a step ends though it has more lines. Those to MAIL, 100 RCPT and DATA fit; those to
# 128 HELP do not, which thousands of sessions could ask for at once.
_SAID_ENOUGH = 32 * 1024
# Octets of a state over which no answer is given ahead: it would have all those recipients once more.
_LARGE = 4096
# C0 and DEL; and C1, which terminals obey as well (RFC 6531 section 3.3 excludes them from UTF8-non-ascii addresses).
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What browsers, scanners and worms say to any port: an HTTP request or its Host header, SSH, a TLS ClientHello.
_OTHER_PROTOCOL = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) .*HTTP/|Host: |SSH-|\x16\x03", re.IGNORECASE
)
# The verb of a message, and of a line that has none of the table's (wire/SPEC.md, `told`).
MESSAGE = "message"
_NONE = Verb("")


def run(policy: Policy, step: Step) -> Generator[Question, Outcome, StepDone]:
    """Run one step: yields questions, is resumed with outcomes, returns what the gateway is told.

    :raises StateError: for a state that is none, or an input that does not belong to it.
    :raises NewerState: for a state of a newer release.
    """
    if isinstance(step.input, Connected):
        turn = Turn(Session(), replies.greeting(policy.domain))
        if policy.faults is not None:
            turn = policy.faults.connected(Context(policy, step.session, step.time, turn.session), turn)
        return _done(step, Session(), turn.session, turn.reply.render() if turn.reply else b"", turn.next)
    # Without a state the gateway said the `opening`, and this is the session's first step.
    first = not step.state and step.seq <= 1
    session = Session() if first and not step.carry else state.decode(step.state, step.carry)
    context = Context(policy, step.session, step.time, session, step.seq, step.message, step.client)
    if isinstance(step.input, Lines):
        return (yield from _lines(context, step, step.input.lines))
    if isinstance(step.input, Body):
        if not step.message:
            raise StateError("a message without a number: the gateway is older than this worker")
        if policy.faults is not None and step.input.last:
            turn = yield from policy.faults.end(context, step.input, message.piece)
        else:
            turn = yield from message.piece(context, step.input)
        told = (Told(MESSAGE, turn.reply.code if turn.reply else 0),) if step.input.last else ()
        if session.explained:
            turn = explain.explained(context, turn)
    else:
        turn, told = (yield from message.abandoned(context)), ()
    said = turn.reply.render() if turn.reply else b""
    return _done(step, session, turn.session, said, turn.next, told=told, delivery=turn.delivery)


def following(step: Step, done: StepDone) -> Step | None:
    """The step that most clients have done next, where its answer could be one for others too."""
    last = done.told[-1] if done.holds and done.told else None
    if last is None or last.code != 250 or not VERBS[last.verb].followed_by or len(done.state) > _LARGE:
        return None
    lines = Lines((VERBS[last.verb].followed_by,))
    carry = step.carry if done.carry is None else done.carry
    return Step(step.session, step.seq + 1, step.time, done.state, lines, step.client, carry, step.message)


def opening(policy: Policy) -> bytes:
    """The greeting, if it is the same for every client; empty where a failure on cue could come in its place."""
    return b"" if policy.faults is not None else replies.greeting(policy.domain).render()


def apology(policy: Policy, step: Step) -> StepDone:
    """What the gateway is told of a step that failed by a fault of ours: apologise and close."""
    reply = replies.our_fault(policy.domain)
    said = b"" if isinstance(step.input, Disconnected) else reply.render()
    told = (Told(MESSAGE, reply.code),) if isinstance(step.input, Body) and step.input.last else ()
    return StepDone(step.session, step.seq, 0, step.state, said, Close(), told=told)


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
    holds = HOLDS if context.policy.faults is None else 0
    before = context.session
    then: Next = READ_LINES
    consumed = 0
    while consumed < len(lines) and isinstance(then, ReadLines) and len(said) <= _SAID_ENOUGH:
        verb, turn = yield from _line(context, lines[consumed])
        if isinstance(turn.next, Injected) and said:
            # What was said before must not wait with it: the line comes again, first in the next step.
            break
        consumed += 1
        told.append(Told(verb.name, turn.reply.code if turn.reply else 0, verb.secret))
        holds, then = min(holds, turn.holds), turn.next
        if turn.session.explained:
            holds, turn = 0, explain.explained(context, turn)
        said += turn.reply.render() if turn.reply else b""
        mail = turn.session.transaction
        begun = mail is not None and (begun or context.session.transaction is None)
        context = replace(context, session=turn.session)
    # After the loop: what is left is text of a message, or nobody listens to it any more, or it comes again.
    return _done(
        step, before, context.session, said, then, consumed=consumed, told=tuple(told), holds=holds, begun=begun
    )


def _line(context: Context, line: bytes | None) -> Generator[Question, Outcome, tuple[Verb, Turn]]:
    """One command line: read, served, and counted if it was wrong; gives its verb too, `_NONE` for what is none."""
    verb = _NONE
    try:
        command = read(line)
        verb = VERBS.get(command.verb, _NONE)
        if context.policy.faults is None:
            served = _serve(context, command)
            turn = served if isinstance(served, Turn) else (yield from served)
        else:
            turn = yield from context.policy.faults.command(context, command, _talk)
    except Refusal as refusal:
        reply = replies.in_own_name(refusal.reply, context.session.hello)
        turn = Turn(context.session, reply, Close() if refusal.close else READ_LINES)
    if turn.reply is None or turn.reply.code < 500 or isinstance(turn.next, Close):
        return verb, turn
    session = replace(turn.session, errors=turn.session.errors + 1)
    if session.errors > context.policy.max_errors:
        return verb, Turn(session, replies.too_many_errors(context.policy.max_errors), Close())
    return verb, replace(turn, session=session)


def _serve(context: Context, command: Command) -> Turn | Talk:
    verb, phase = VERBS.get(command.verb, _NONE), context.session.phase
    if verb.serve is None or not (verb.anytime or phase in verb.onward):
        raise Refusal(verbs.out_of_order(command.verb, phase))
    return verb.serve(context, command)


def _talk(context: Context, command: Command) -> Talk:
    served = _serve(context, command)
    return served if isinstance(served, Turn) else (yield from served)


def read(line: bytes | None) -> Command:
    """A line, without its end, to a command that may not exist; None is a line over the limit.

    :raises Refusal: for a line that cannot be one.
    """
    if line is None:
        raise Refusal(replies.TOO_LONG)
    if _OTHER_PROTOCOL.match(line):
        raise Refusal(replies.OTHER_PROTOCOL, close=True)
    try:
        # RFC 5321 section 4.1.1: white space before the line end is tolerated.
        text = line.decode().rstrip(" \t")
    except UnicodeDecodeError:
        raise Refusal(replies.NOT_UTF8) from None
    if not text:
        raise Refusal(replies.EMPTY_LINE)
    if control := _CONTROL.search(text):
        raise Refusal(replies.control_byte(ord(control[0])))
    if text.startswith(" "):
        raise Refusal(replies.LEADING_BLANK)
    verb, _, argument = text.partition(" ")
    # Letters outside ASCII have capitals inside it (U+017F): those are no verbs.
    return Command(verb.upper() if verb.isascii() else verb, argument.strip(" "))
