"""The questions of one transaction, before its commit: what is refused, what is planned, what the journal is given.

A repeat is known by its delivery id, for the journal keeps that on disk: as the message's own, then in the ledger
(`journal/sqlite_journal.py`). No batch waits to be filled: it is what came while the one before was done
(`service.py`), and one commit, with its sync, comes before all of its answers (`store.py`).

Gives: `Batch`, which answers each question as if the transaction were committed already; what is to be done once it
is, it holds. `RefusedError`, for what is not done.
Fails: with RefusedError for one question, or for all of them where a deadline has passed; with JournalError, and then
nothing of the batch may be kept.
Limits: how much is free is looked at once for a batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mailbox_store.checkpoint import LEDGER_REACH
from mailbox_store.journal.journal import HeldEntry, HeldMessage, Journal
from mailbox_store.mailboxes.plan import Plan
from mailbox_store.mailboxes.rendering import Lengths, Rendering
from mailbox_store.users.directory import Directory, reason
from wire import outcomes
from wire.limits import MAX_TEXT
from wire.messages import Ask, Deliver, Discard, Stage
from wire.outcomes import Said

# Left free in the mailbox folder, for what other programs write at the same time.
SPACE_MARGIN = 1024 * 1024
# No message is that long; SQLite's numbers end at 2**63.
_MAX_OFFSET = 2**48
_NEVER = 2**63
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RefusedError(Exception):
    """A question that cannot be done; carries its outcome."""

    def __init__(self, kind: outcomes.Failure, detail: str) -> None:
        super().__init__(detail)
        self.outcome = failed(kind, detail)


def failed(kind: outcomes.Failure, detail: str) -> outcomes.Failed:
    return outcomes.Failed(kind, detail[:MAX_TEXT])


class Batch:
    """
    :param plan: of this transaction.
    :param lengths: of the messages whose pieces came before.
    :param free_space: gives the octets of the mailbox folder that nobody has been promised.
    :param now: ms since the epoch.
    """

    def __init__(
        self,
        journal: Journal,
        plan: Plan,
        directory: Directory,
        lengths: Lengths,
        free_space: Callable[[], int],
        now: int,
    ) -> None:
        self._journal = journal
        self._plan = plan
        self._directory = directory
        self._lengths = lengths
        self._free_space = free_space
        self._now = now
        self._free: int | None = None
        # The first moment at which one who asks may have given up. Nothing is kept that somebody has given up on.
        self.until = _NEVER
        # What is new once this is committed: deliveries, pieces, and messages of which no more will come.
        self.deliveries: list[tuple[Rendering, list[HeldEntry]]] = []
        self.pieces: list[Stage] = []
        self.ended: list[str] = []

    def take(self, ask: Ask) -> Said:
        """Give the journal what a question has for it; inside the transaction.

        :raises RefusedError: where it is not done.
        """
        question = ask.question
        assert isinstance(question, Stage | Deliver | Discard)
        delivered = self._journal.known(question.delivery)
        if isinstance(question, Discard):
            # The pieces of a delivered message are the journal's until its mailboxes have them.
            if not delivered:
                self._journal.discard(question.delivery)
                self.ended.append(question.delivery)
            return outcomes.Discarded()
        if delivered:
            if isinstance(question, Stage):
                return outcomes.Staged(question.offset + len(question.data))
            return outcomes.Delivered(repeat=True)
        # Whoever asks has given up by its deadline, and says that nothing was stored.
        if ask.deadline < self._now:
            raise RefusedError(outcomes.EXPIRED, f"the deadline passed {self._now - ask.deadline} ms ago")
        self.until = ask.deadline if ask.deadline < self.until else self.until
        return self._stage(question) if isinstance(question, Stage) else self._deliver(question)

    # ------------------------------------------------------------ pieces

    def _stage(self, question: Stage) -> outcomes.Staged:
        if question.offset > _MAX_OFFSET:
            raise RefusedError(outcomes.TROUBLE, f"a piece at offset {question.offset}")
        # What has no room in a mailbox is not taken, piece by piece, to be refused in the end; and where journal and
        # mailboxes share a disk, it would take the room of copies that wait.
        try:
            free = self._free_space() if self._free is None else self._free
        except OSError as error:
            raise RefusedError(outcomes.TROUBLE, reason(error)) from None
        self._free = free
        if len(question.data) + SPACE_MARGIN > free:
            raise RefusedError(outcomes.DISK_FULL, f"free in the mailbox folder: {free}")
        kept = self._journal.stage(question.delivery, question.offset, question.data, self._now)
        self.pieces.append(question)
        return outcomes.Staged(kept)

    # ------------------------------------------------------------ deliveries

    def _deliver(self, question: Deliver) -> outcomes.Delivered:
        new = self._check(question)
        named = question.originals
        originals = tuple((question.mailboxes[place], address) for place, address in named) if named else ()
        message = HeldMessage(
            question.delivery,
            question.time,
            question.sender,
            question.trace,
            question.staged,
            question.data,
            originals,
        )
        length = None
        if question.staged:
            length = self._lengths.whole(question.delivery, question.staged, question.data)
        rendering = Rendering(self._journal, message, length)
        length = rendering.text_length()
        try:
            places = [
                self._plan.place(mailbox, len(rendering.head(mailbox)) + length)
                for mailbox in dict.fromkeys(question.mailboxes)
            ]
            free = self._free_space() if self._free is None else self._free
        except OSError as error:
            raise RefusedError(outcomes.TROUBLE, reason(error)) from None
        if new:
            self._directory.made(new)
        needed = sum(place.length for place in places)
        if needed + SPACE_MARGIN > free:
            raise RefusedError(outcomes.DISK_FULL, f"octets needed: {needed}, free in the mailbox folder: {free}")
        entries = self._journal.add(message, places)
        self._free = free - needed
        self._plan.placed(places)
        self.deliveries.append((rendering, entries))
        if question.staged:
            self.ended.append(question.delivery)
        return outcomes.Delivered(repeat=False)

    def _check(self, question: Deliver) -> list[str]:
        """Does it make sense, and is all of it here? Gives the mailboxes that are no users'."""
        if abs(self._now - question.time) > LEDGER_REACH:
            raise RefusedError(outcomes.EXPIRED, f"the message's time, {question.time}, is too far from {self._now}")
        new = self._directory.unlisted(question.mailboxes)
        if new and not self._directory.may_make(new):
            raise RefusedError(outcomes.TROUBLE, f"no such mailbox: {new[0]}")
        if _CONTROL.search(question.sender):
            raise RefusedError(outcomes.TROUBLE, "the sender holds a control character")
        for place, address in question.originals:
            if place >= len(question.mailboxes) or _CONTROL.search(address):
                raise RefusedError(outcomes.TROUBLE, "a recipient holds a control character, or has no mailbox")
        if question.trace and not question.trace.endswith(b"\n"):
            raise RefusedError(outcomes.TROUBLE, "the trace does not end with a newline")
        if question.staged:
            self._check_pieces(question)
        return new

    def _check_pieces(self, question: Deliver) -> None:
        end = 0
        for offset, size in self._journal.extents(question.delivery):
            if offset != end:
                raise RefusedError(outcomes.TROUBLE, f"pieces: a gap or an overlap at {end}")
            end += size
        if end != question.staged:
            raise RefusedError(outcomes.TROUBLE, f"pieces: octets {end}, not {question.staged}")
