"""What most clients say next, answered before they say it, so that the gateway need not ask (wire/SPEC.md, Foreseen).

Only where the answer depends on nothing but the session: DATA while it is known that every mailbox can be written,
and QUIT once there has been a mail. It is the answer of the same handler that serves the line when it comes, so it
cannot be another one; whoever types `Data`, says more than the verb or takes too long is served by a step of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from session_worker import state
from session_worker.commands import Command
from session_worker.state import Phase
from session_worker.turn import Context, Handler, Talk, Turn
from wire.messages import Foreseen, Injected

# How long what RCPT learned of a mailbox, that it can be written, spares DATA the question; in milliseconds.
CHECK_KEPT = 250


def foreseen(context: Context, handlers: Mapping[str, Handler]) -> tuple[Foreseen, ...]:
    """The answers to what may come next.

    :param context: as it is after the step.
    :param handlers: of the commands that may come in its phase.
    """
    session = context.session
    if session.explained or context.rules.faults is not None:
        # An explanation names the step; a failure on cue may depend on anything.
        return ()
    mail = session.transaction
    if mail is None:
        return _answer(context, handlers, "QUIT", None) if session.transactions else ()
    if session.phase is Phase.RECIPIENTS and mail.checked:
        return _answer(context, handlers, "DATA", mail.checked + CHECK_KEPT)
    return ()


def _answer(context: Context, handlers: Mapping[str, Handler], verb: str, until: int | None) -> tuple[Foreseen, ...]:
    turn = _at_once(handlers[verb](context, Command(verb, "")))
    if turn is None or turn.reply is None or isinstance(turn.next, Injected):
        return ()
    after, said = state.encode(turn.session), turn.reply.render()
    spellings = (verb.encode(), verb.lower().encode())
    return (Foreseen(spellings, until, after, said, turn.next, turn.session.transaction is not None),)


def _at_once(served: Turn | Talk) -> Turn | None:
    """What a handler gives without asking the store; None if it has to."""
    if isinstance(served, Turn):
        return served
    try:
        next(served)
    except StopIteration as end:
        turn: Turn = end.value
        return turn
    return None
