"""XEXPLAIN: replies that say which worker served the line, in which step, and what it changed in the session.

An extension of ours for learners (RFC 5321 section 4.1.5: private verbs begin with X), offered where EXPLAIN=on.
`XEXPLAIN ON` and `XEXPLAIN OFF` switch it for one session; `XEXPLAIN` alone shows the session as it is. Each reply
that a worker gives in an explained session ends with lines of this form, which are text of that reply and stand
before and after nothing else:

    XEXPLAIN worker 4711@host step 3
    XEXPLAIN phase: greeted -> sender
    XEXPLAIN sender: (none) -> you@example.org

One line for each field that is another than before; the client has the times. The explanation is made by the very
step that it explains, so it is true of every line, DATA and the end of the message included, whichever worker each
one went to. What the gateway says by itself (421 after silence) no worker served, and nothing explains it.

Everything here is pure and raises nothing.
"""

from __future__ import annotations

from session_worker.dialogue import replies
from session_worker.dialogue.replies import Refusal, Reply, shown
from session_worker.dialogue.state import Session
from session_worker.dialogue.turn import Command, Context, Turn
from wire.records import replace

KEYWORD = "XEXPLAIN"
FORM = "XEXPLAIN, XEXPLAIN ON or XEXPLAIN OFF"
_NONE = "(none)"


def fields(context: Context, session: Session) -> dict[str, str]:
    """What is worth showing of a session, each value in words; addresses are clipped as in all replies."""
    mail = session.transaction
    verb = "EHLO" if session.extended else "HELO"
    return {
        "phase": session.phase.value,
        "hello": f"{verb} {shown(session.hello)}" if session.hello else _NONE,
        "sender": _NONE if mail is None else f"<{shown(mail.sender)}>",
        "recipients": str(len(mail.recipients) if mail else 0),
        "delivery": _NONE if mail is None else context.delivery,
        "errors": str(session.errors),
    }


def xexplain(context: Context, command: Command) -> Turn:
    """XEXPLAIN, XEXPLAIN ON and XEXPLAIN OFF, at any time.

    :raises Refusal: where it is switched off, or for another argument.
    """
    if not context.policy.explain:
        raise Refusal(replies.not_implemented(KEYWORD))
    if not command.argument:
        return Turn(context.session, _overview(context))
    if command.argument.upper() not in ("ON", "OFF"):
        raise Refusal(replies.bad_form(KEYWORD, "it takes ON or OFF", FORM))
    on = command.argument.upper() == "ON"
    said = "From here on each reply tells what was done" if on else "Replies tell no more what was done"
    return Turn(replace(context.session, explained=on), Reply(250, "2.0.0", (said,)))


def explained(context: Context, turn: Turn) -> Turn:
    """A turn of an explained session with its reply explained; `context` is from before the turn."""
    if turn.reply is None or not context.policy.explain:
        return turn
    before, after = fields(context, context.session), fields(context, turn.session)
    changes = [f"{name}: {before[name]} -> {value}" for name, value in after.items() if value != before[name]]
    lines = tuple(f"{KEYWORD} {line}" for line in (_who(context), *changes))
    return replace(turn, reply=replace(turn.reply, lines=turn.reply.lines + lines))


def _overview(context: Context) -> Reply:
    mail = context.session.transaction
    now = (f"{name}: {value}" for name, value in fields(context, context.session).items())
    return Reply(250, "2.0.0", (_who(context), *now), utf8=mail is not None and mail.utf8)


def _who(context: Context) -> str:
    return f"worker {context.policy.worker} step {context.seq}"
