"""The store without its socket: questions that write in, outcomes out, a batch at a time.

The way of a batch, on both sides of the commit: each delivery is checked and gets its places in the mailboxes
(`batch.py`, `mailboxes/plan.py`); one transaction of the journal holds them all; then they are appended, and the
outcomes are given. So an outcome `Delivered` says that the message is on disk, and normally also that `cat` shows it.
Later they are synced, and the journal forgets them (`checkpoint.py`).

Fails: with outcomes. Where a batch's transaction fails, each of its questions is tried alone, so that one cannot fail
the others. Appending after the commit cannot fail a delivery any more: it waits and is retried. What no one foresaw
is an outcome before the commit, and after it ends the process: recovery knows best then.
Limits: ids are kept for a day, which no repeat can outlive as long as the clock does not leap by hours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from mail.ids import session_of
from mailbox_store.batch import SPACE_MARGIN, Batch, RefusedError, failed
from mailbox_store.checkpoint import Checkpoint, Tidying
from mailbox_store.journal.journal import HeldEntry, Journal, JournalError, JournalFull
from mailbox_store.mailboxes.files import Files
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.mailboxes.plan import Plan
from mailbox_store.mailboxes.rendering import Lengths, Rendering
from mailbox_store.metrics import Totals
from mailbox_store.recovery import Recovery
from mailbox_store.users.directory import Directory
from runtime import counted
from runtime.telling import EventLog, escaped, members
from runtime.vitals import Figures
from wire import outcomes
from wire.messages import Ask, Deliver
from wire.outcomes import Said

log = logging.getLogger(__name__)

# What was appended or synced is told to the journal with the next commit, or by one of its own after this pause.
_RECORD_PAUSE = 0.03
# After an error of the journal it is left alone for so long, but for mail that comes in.
_JOURNAL_PAUSE = 1.0
# A stop works off what waits for so long: under the shortest time that a supervisor leaves it (Docker's 10 s).
_CLOSE_SECONDS = 5.0
# A message of a common size: where not even this has room, no mail is taken.
_SMALL = 4096


class Store:
    """Journal and mailboxes together."""

    def __init__(
        self,
        journal: Journal,
        files: Files,
        directory: Directory,
        executor: Executor,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        totals: Totals | None = None,
        events: EventLog | None = None,
    ) -> None:
        """
        :param directory: whose mailboxes there are.
        :param executor: one thread, for the checkpoint.
        :param clock: ms since the epoch.
        :param monotonic: seconds, for pauses.
        :param totals: where to count what is done.
        :param events: where each delivery is logged; None: nowhere.
        """
        self.totals = totals or Totals()
        self._journal = journal
        self._files = files
        self._directory = directory
        self._clock = clock
        self._monotonic = monotonic
        self._events = events
        self._mailboxes = Mailboxes(files, journal, monotonic)
        self._checkpoint = Checkpoint(files, journal, self._mailboxes, executor, monotonic, self.totals)
        self._recovery = Recovery(journal, self._mailboxes, self._checkpoint, monotonic)
        self._tidying = Tidying(journal, clock, monotonic)
        self._lengths = Lengths()
        self._record_due: float | None = None
        self._journal_due = 0.0
        self._journal_told = ""

    @property
    def busy(self) -> bool:
        """Is there something to do soon even if no question comes?"""
        return self._mailboxes.busy or not self._checkpoint.idle

    @property
    def at_work(self) -> bool:
        """Is there something to do now?"""
        return self._mailboxes.at_work

    @property
    def waiting(self) -> int:
        """Entries that the journal has and their mailbox has not."""
        return self._mailboxes.waiting

    def figures(self) -> Figures:
        """What the store tells of itself now.

        :raises JournalError: where the journal cannot be read.
        """
        oldest = self._checkpoint.oldest
        received = None if oldest is None else self._journal.received(oldest)
        return {
            "deliveries": self.totals.deliveries,
            "journal_messages": self._checkpoint.held,
            "journal_oldest_seconds": 0.0 if received is None else max(0, self._clock() - received) / 1000,
            "entries_waiting": self.waiting,
            "users": self._directory.users,
        }

    def why_no_mail(self) -> str:
        """Why even a small message would be refused as `disk_full` now, in words; "" where it would not.

        What a message would meet is told before one comes: `make up` and status ask for it. It never fails; what
        cannot be seen is said. Of a disk it is seen how much is free, not what a quota allows.
        """
        try:
            free = self._files.free_space()
            if free < SPACE_MARGIN + _SMALL:
                return f"no room for mail: {free / 2**20:.1f} MiB free where the mailboxes are"
            return "" if self._journal.has_room() else "no room for mail: the disk of the journal is full"
        except (OSError, JournalError) as error:
            return f"the room for mail cannot be seen: {error}"

    def recover(self, boot: str) -> int:
        """Before the first question; gives the number of entries that the journal held.

        What takes longer than a moment is done by `tick`.

        :raises JournalError: where the journal cannot be read or written.
        """
        return self._recovery.begin(boot)

    def tick(self) -> None:
        """What is due without a question; call it between batches, at least every 50 ms while `busy`."""
        self._mailboxes.step()
        self._checkpoint.step()
        if self._monotonic() < self._journal_due:
            return
        try:
            self._record_when_due()
            if not self._recovery.over:
                self._recovery.step()
            self._tidying.step()
        except JournalError as error:
            self._journal_due = self._monotonic() + _JOURNAL_PAUSE
            if str(error) != self._journal_told:
                self._journal_told = str(error)
                log.warning("! %s", error)
        else:
            self._journal_told = ""

    def close(self) -> None:
        """Checkpoint for the last time, so that the next start has nothing to recover."""
        until = self._monotonic() + _CLOSE_SECONDS
        self._mailboxes.hurry()
        try:
            while True:
                self._mailboxes.work(until - self._monotonic())
                at_work = self._mailboxes.at_work or self._mailboxes.full
                self._mailboxes.break_off()
                self._checkpoint.sync_all()
                while self._checkpoint.unrecorded:
                    self._record()
                if not at_work or self._monotonic() > until:
                    break
            self._journal.close()
        except JournalError as error:
            log.warning("! %s", error)
        if self.waiting:
            log.warning("! waiting in the journal for their mailboxes: %s", counted(self.waiting, "entry", "entries"))

    def _record_when_due(self) -> None:
        if not self._checkpoint.unrecorded:
            self._record_due = None
            return
        now = self._monotonic()
        if self._record_due is None:
            self._record_due = now + _RECORD_PAUSE
        if now >= self._record_due:
            self._record_due = None
            self._record()

    def _record(self) -> None:
        """A transaction for nothing but what the checkpoint has for the journal."""
        with self._journal.transaction():
            told = self._checkpoint.record()
        self._checkpoint.recorded(told)

    # ------------------------------------------------------------ a batch

    def write(self, asks: Sequence[Ask]) -> list[Said]:
        """One outcome for each Stage, Deliver or Discard, in order."""
        with Plan(self._mailboxes, self._files) as plan:
            batch = Batch(self._journal, plan, self._directory, self._lengths, self._free_space, self._clock())
            try:
                given = self._commit(asks, batch)
            except RefusedError as late:
                told, outcome = str(late), late.outcome
            except Exception as error:
                # The error itself is not kept: it holds this frame, and all the mail of the batch with it.
                told = str(error)
                outcome = failed(outcomes.DISK_FULL if isinstance(error, JournalFull) else outcomes.TROUBLE, told)
                if len(asks) == 1:
                    log.error("! %s", told, exc_info=not isinstance(error, JournalError))  # noqa: TRY400
                    if self._is_repeat(asks[0]):
                        return [outcomes.Delivered(repeat=True)]
            else:
                self._after_commit(batch, plan, given)
                return given
        if len(asks) > 1:
            log.warning("! a batch of %d failed, each is tried alone: %s", len(asks), told)
            return [outcome for ask in asks for outcome in self.write([ask])]
        self.totals.refused[outcome.kind] += 1
        return [outcome]

    def _free_space(self) -> int:
        """Octets of the mailbox folder that nobody has been promised."""
        return self._files.free_space() - self._mailboxes.promised

    def _commit(self, asks: Sequence[Ask], batch: Batch) -> list[Said]:
        given: list[Said] = []
        with self._journal.transaction():
            told = self._checkpoint.record()
            for ask in asks:
                try:
                    given.append(batch.take(ask))
                except RefusedError as refused:
                    given.append(refused.outcome)
            if batch.until < self._clock():
                # Planning took its time, on a disk that is slow, say.
                raise RefusedError(outcomes.EXPIRED, "a deadline passed before the commit")
        self._checkpoint.recorded(told)
        return given

    def _after_commit(self, batch: Batch, plan: Plan, given: list[Said]) -> None:
        self._record_due = None
        for piece in batch.pieces:
            self._lengths.add(piece.delivery, piece.offset, piece.data)
        for delivery in batch.ended:
            self._lengths.drop(delivery)
        added = [entries for _, entries in batch.deliveries]
        for entries in added:
            self._checkpoint.hold(entries)
        self.totals.committed(given, added)
        plan.append(batch.deliveries)
        if self._events is not None:
            _tell(self._events, batch.deliveries)

    def _is_repeat(self, ask: Ask) -> bool:
        """Is it delivered already? Then the journal need not be written for it, and nobody may say that it is not."""
        try:
            return isinstance(ask.question, Deliver) and self._journal.known(ask.question.delivery)
        except JournalError:
            return False


def _tell(events: EventLog, deliveries: list[tuple[Rendering, list[HeldEntry]]]) -> None:
    for rendering, entries in deliveries:
        delivery, octets = escaped(rendering.delivery), sum(entry.length for entry in entries)
        events.tell(
            f"= {delivery} stored for {counted(len(entries), 'mailbox', 'mailboxes')}, {counted(octets, 'octet')}",
            members(event="stored", session=session_of(delivery), delivery=delivery, octets=octets)
            if events.fields
            else "",
        )
    events.flush()
