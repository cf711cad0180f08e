"""What most clients say next, answered before they say it, so that the gateway need not ask (wire/SPEC.md, Foreseen).

Only where the answer depends on nothing but the session: DATA, while it is known that every mailbox can be written.
It is the answer of the same handler that serves the line when it comes, so it cannot be another one; whoever types
`Data`, says more than the verb or takes too long is served by a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from session_worker import state
from session_worker.commands import Command
from session_worker.state import Phase
from session_worker.turn import STORE_AGAIN, Context, Talk, Turn
from wire.messages import Foreseen, Injected

_SPELLINGS = (b"DATA", b"data")


def foreseen(context: Context, data: Callable[[Context, Command], Talk]) -> tuple[Foreseen, ...]:
    """The answers to what may come next.

    :param context: as it is after the step.
    :param data: what serves DATA.
    """
    session = context.session
    mail = session.transaction
    if mail is None or not mail.checked or session.phase is not Phase.RECIPIENTS:
        return ()
    if session.explained or context.rules.faults is not None:
        # An explanation names the step; a failure on cue may depend on anything.
        return ()
    try:
        next(data(context, Command("DATA", "")))
    except StopIteration as end:
        turn: Turn = end.value
    else:
        return ()  # it has to ask the store
    assert turn.reply is not None
    assert not isinstance(turn.next, Injected)
    after, said = state.encode(turn.session), turn.reply.render()
    return (Foreseen(_SPELLINGS, mail.checked + STORE_AGAIN, after, said, turn.next, in_transaction=True),)
