"""What most clients say next, answered before they say it, so that the gateway need not ask (wire/SPEC.md, Foreseen).

Only where the answer depends on nothing but the session: DATA, as long as the store's epoch is the one in which every
mailbox can be written.
It is the answer of the same handler that serves the line when it comes, so it cannot be another one; whoever types
`Data`, says more than the verb or takes too long is served by a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from session_worker.dialogue import state
from session_worker.dialogue.state import Phase
from session_worker.dialogue.transaction import Command
from session_worker.dialogue.turn import Context, Talk, Turn
from wire.messages import Foreseen, Injected
from wire.outcomes import Writable

_SPELLINGS = (b"DATA", b"data")


def foreseen(context: Context, data: Callable[[Context, Command], Talk]) -> tuple[Foreseen, ...]:
    """The answers to what may come next.

    :param context: as it is after the step.
    :param data: what serves DATA.
    """
    session = context.session
    mail = session.transaction
    if mail is None or not mail.epoch or session.phase is not Phase.RECIPIENTS:
        return ()
    if session.explained or context.rules.faults is not None:
        # An explanation names the step; a failure on cue may depend on anything.
        return ()
    talk = data(context, Command("DATA", ""))
    next(talk)  # whether the mailboxes can be written, which is known
    try:
        talk.send(Writable(mail.epoch))
    except StopIteration as end:
        turn: Turn = end.value
    assert turn.reply is not None
    assert not isinstance(turn.next, Injected)
    after, said = state.encode(turn.session), turn.reply.render()
    # A gateway that knows nothing of epochs has to ask: to it the time of this answer is over.
    return (Foreseen(_SPELLINGS, 0, after, said, turn.next, in_transaction=True, epoch=mail.epoch),)
