"""Reading a message and handing it to the store, piece by piece or whole.

A small message is one piece, and one `Deliver`. A large one is staged piece by piece, and its last piece delivers it.
Once a piece could not be staged the rest is read and dropped, and the failure is said after its true end: before
that the client does not listen. Whatever happened, the end of data ends the transaction.
"""

from __future__ import annotations

from collections.abc import Generator

from mail.address import fold
from mail.trace import received
from session_worker.dialogue import replies
from session_worker.dialogue.replies import Reply
from session_worker.dialogue.state import TIMED_OUT, Session, StateError, Transaction
from session_worker.dialogue.turn import Context, Talk, Turn
from wire.messages import Body, Close, Deliver, Discard, Question, ReadBody, Stage
from wire.outcomes import Delivered, Outcome, Staged
from wire.records import replace


def piece(context: Context, body: Body) -> Talk:
    """A piece of the message: kept, or with the last one delivered.

    :raises StateError: where no message is being read, or a piece before this one is missing.
    """
    mail = _reading(context.session)
    if not mail.failure and body.offset != mail.staged:
        raise StateError(f"a piece at offset {body.offset}, and staged is {mail.staged}")
    if body.last:
        turn = Turn(replace(context.session, transaction=None), None)
        reply = yield from _end_of_data(context, mail, body)
        if reply is None:
            return replace(turn, reply=replies.delivered(context.delivery), delivery=context.delivery)
        return replace(turn, reply=reply)
    if not mail.failure:
        mail = yield from _stage(context, mail, body)
    remaining = 0 if mail.failure else max(0, context.policy.max_message_octets - mail.staged)
    return Turn(replace(context.session, transaction=mail), None, ReadBody(remaining))


def abandoned(context: Context) -> Talk:
    """The client vanished in the middle of a message: nothing of it stays."""
    if context.session.transaction is not None:
        yield from _discard(context, context.session.transaction)
    return Turn(replace(context.session, transaction=None), None, Close())


def _reading(session: Session) -> Transaction:
    if session.transaction is None or not session.transaction.reading:
        raise StateError("a piece of a message that was not asked for")
    return session.transaction


def _stage(context: Context, mail: Transaction, body: Body) -> Generator[Question, Outcome, Transaction]:
    outcome = yield Stage(context.delivery, body.offset, body.data)
    if isinstance(outcome, Staged):
        return replace(mail, staged=body.offset + len(body.data))
    return replace(mail, failure=replies.failure_of(outcome))


def _end_of_data(context: Context, mail: Transaction, body: Body) -> Generator[Question, Outcome, Reply | None]:
    """Deliver the message; gives why it was not, or None."""
    if mail.failure:
        yield from _discard(context, mail)
        return replies.failure(mail.failure)
    if body.too_big:
        yield from _discard(context, mail)
        return replies.too_big(context.policy.max_message_octets)
    if body.bare and context.policy.strict:
        yield from _discard(context, mail)
        return replies.BARE_LINE_ENDS
    outcome = yield Deliver(
        delivery=context.delivery,
        time=context.time,
        sender=mail.sender,
        mailboxes=mail.mailboxes,
        trace=_trace(context, mail),
        staged=mail.staged,
        data=body.data,
        originals=_originals(mail),
    )
    if isinstance(outcome, Delivered):
        return None
    failure = replies.failure_of(outcome)
    yield from _discard(context, replace(mail, failure=failure))
    return replies.failure(failure)


def _trace(context: Context, mail: Transaction) -> bytes:
    session = context.session
    only = mail.recipients[0].address if len(mail.recipients) == 1 else ""
    return received(
        session.hello, context.client.address, context.policy.domain, context.delivery, context.time,
        extended=session.extended, utf8=mail.utf8, only=only,
    )  # fmt: skip


def _originals(mail: Transaction) -> tuple[tuple[int, str], ...]:
    """The recipients that have another address than their mailbox, each with its mailbox's place."""
    others = [each for each in mail.recipients if each.address != each.mailbox and fold(each.address) != each.mailbox]
    if not others:
        return ()
    places = {mailbox: place for place, mailbox in enumerate(mail.mailboxes)}
    return tuple((places[each.mailbox], each.address) for each in others)


def _discard(context: Context, mail: Transaction) -> Generator[Question, Outcome, None]:
    # A store that does not answer would only be waited for once more; it drops old pieces by itself.
    if mail.staged and mail.failure != TIMED_OUT:
        yield Discard(context.delivery)
