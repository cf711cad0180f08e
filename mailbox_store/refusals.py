"""What the store refuses of the questions that write, before anything is written.

Gives: `RefusedError`, and checks that raise it.
Limits: whether there is room, and whether the mailboxes can be written, is seen where that is looked at: `store.py`.
"""

from __future__ import annotations

import re

from mailbox_store.journal.journal import Journal
from mailbox_store.journal.tidying import LEDGER_REACH
from mailbox_store.users.unlisted import Unlisted
from mailbox_store.users.users import UsersSource
from wire import outcomes
from wire.limits import MAX_TEXT
from wire.messages import Ask, Deliver, Stage

# No message is that long; SQLite's numbers end at 2**63.
_MAX_OFFSET = 2**48
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RefusedError(Exception):
    """A question that cannot be done; carries its outcome."""

    def __init__(self, kind: outcomes.Failure, detail: str) -> None:
        super().__init__(detail)
        self.outcome = failed(kind, detail)


def failed(kind: outcomes.Failure, detail: str) -> outcomes.Failed:
    return outcomes.Failed(kind, detail[:MAX_TEXT])


def check_deadline(ask: Ask, now: int) -> None:
    """Whoever asks has given up by its deadline, and says that nothing was stored."""
    if ask.deadline < now:
        raise RefusedError(outcomes.EXPIRED, f"the deadline passed {now - ask.deadline} ms ago")


def check_piece(question: Stage) -> None:
    if question.offset > _MAX_OFFSET:
        raise RefusedError(outcomes.TROUBLE, f"a piece at offset {question.offset}")


def check_delivery(
    question: Deliver, now: int, users: UsersSource, unlisted: Unlisted | None, journal: Journal
) -> list[str]:
    """Does it make sense, and is all of it here? Gives the mailboxes that are no users'."""
    if abs(now - question.time) > LEDGER_REACH:
        raise RefusedError(outcomes.EXPIRED, f"the message's time, {question.time}, is too far from {now}")
    new = []
    for mailbox in question.mailboxes:
        if not users.knows(mailbox):
            new.append(mailbox)
    if new and (unlisted is None or not unlisted.may_make(new)):
        raise RefusedError(outcomes.TROUBLE, f"no such mailbox: {new[0]}")
    if _CONTROL.search(question.sender):
        raise RefusedError(outcomes.TROUBLE, "the sender holds a control character")
    for place, address in question.originals:
        if place >= len(question.mailboxes) or _CONTROL.search(address):
            raise RefusedError(outcomes.TROUBLE, "a recipient holds a control character, or has no mailbox")
    if question.trace and not question.trace.endswith(b"\n"):
        raise RefusedError(outcomes.TROUBLE, "the trace does not end with a newline")
    if question.staged:
        _check_pieces(question, journal)
    return new


def _check_pieces(question: Deliver, journal: Journal) -> None:
    end = 0
    for offset, size in journal.extents(question.delivery):
        if offset != end:
            raise RefusedError(outcomes.TROUBLE, f"pieces: a gap or an overlap at {end}")
        end += size
    if end != question.staged:
        raise RefusedError(outcomes.TROUBLE, f"pieces: octets {end}, not {question.staged}")
