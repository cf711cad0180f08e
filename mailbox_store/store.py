"""The store without its socket: questions in, outcomes out, a batch at a time.

The way of a batch: every delivery is checked and given its places in the mailboxes, one transaction of the journal
holds them all, then they are appended, then the outcomes are given. So an outcome `Delivered` says that the message
is on disk, and normally also that `cat` shows it.

Fails: with outcomes. Where a batch's transaction fails, each of its questions is tried alone, so that one cannot fail
the others. Appending after the commit cannot fail a delivery any more: it waits and is retried. What no one foresaw
is an outcome before the commit, and after it ends the process: recovery knows best then.
Limits: ids are kept for a day, which no repeat can outlive as long as the clock does not leap by hours (`tidying`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from mail.ids import session_of
from mailbox_store.checkpoint import Checkpoint
from mailbox_store.epoch import MAILBOX, Epochs, Watch
from mailbox_store.journal.journal import Entry, Journal, JournalError, JournalFull, Message
from mailbox_store.journal.tidying import Tidying
from mailbox_store.mailboxes.files import Files
from mailbox_store.mailboxes.lengths import Lengths
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.mailboxes.plan import Plan
from mailbox_store.mailboxes.rendering import Rendering
from mailbox_store.metrics import Totals
from mailbox_store.recovery import recover, settle_boot
from mailbox_store.refusals import RefusedError, check_deadline, check_delivery, check_piece, failed
from mailbox_store.room import SPACE_MARGIN
from mailbox_store.users.lookups import Lookups, reason
from mailbox_store.users.unlisted import Unlisted
from mailbox_store.users.users import UsersSource
from runtime import counted
from runtime.event_log import EventLog, escaped, members
from runtime.vitals import Figures
from wire import outcomes
from wire.messages import Ask, Check, Deliver, Discard, Lookup, Stage
from wire.outcomes import Said

log = logging.getLogger(__name__)

# What was appended or synced is told to the journal with the next commit, or by one of its own after this pause.
_RECORD_PAUSE = 0.03
# After an error of the journal it is left alone for so long, but for mail that comes in.
_JOURNAL_PAUSE = 1.0
_NEVER = 2**63
# A stop works off what waits for so long: under the shortest time that a supervisor leaves it (Docker's 10 s).
_CLOSE_SECONDS = 5.0


@dataclass(slots=True)
class _Batch:
    """What one transaction has planned."""

    plan: Plan
    now: int
    free: int | None
    deliveries: list[tuple[Rendering, list[Entry]]] = field(default_factory=list)
    # Pieces that it keeps, and messages of which no more will come.
    pieces: list[Stage] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    # The first moment at which one who asks may have given up.
    until: int = _NEVER


class Store:
    """Users, journal and mailboxes together."""

    def __init__(
        self,
        journal: Journal,
        files: Files,
        users: UsersSource,
        executor: Executor,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        totals: Totals | None = None,
        *,
        unlisted: Unlisted | None = None,
        watch: Watch | None = None,
        events: EventLog | None = None,
    ) -> None:
        """
        :param executor: one thread, for the checkpoint.
        :param clock: ms since the epoch.
        :param monotonic: seconds, for pauses.
        :param totals: where to count what is done.
        :param unlisted: mailboxes of those who are no users; None: they have none.
        :param watch: tells what other programs do to the mailboxes; None: nobody does.
        :param events: where each delivery is logged; None: nowhere.
        """
        self.totals = totals or Totals()
        self._journal = journal
        self._files = files
        self._users = users
        self._unlisted = unlisted
        self._clock = clock
        self._monotonic = monotonic
        self._events = events
        # What the latest outcomes were given in, see `epoch.py`.
        self.epoch = 0
        self._epochs = Epochs(watch, clock, monotonic, self.totals.epochs)
        self._mailboxes = Mailboxes(files, journal, monotonic)
        self._lookups = Lookups(files, users, unlisted, self._mailboxes, self._epochs, self.totals)
        self._checkpoint = Checkpoint(files, journal, self._mailboxes, executor, monotonic, self.totals)
        self._tidying = Tidying(journal, clock, monotonic)
        self._lengths = Lengths()
        self._boot = ""
        self._boot_named = False
        # When recovery began, while it is not through, and what the journal held.
        self._recovering: float | None = None
        self._held = 0
        self._record_due: float | None = None
        self._journal_due = 0.0
        self._journal_told = ""

    @property
    def busy(self) -> bool:
        """Is there something to do soon even if no question comes?"""
        return self._mailboxes.busy or not self._checkpoint.settled

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
            "users": len(self._users.current.mailboxes),
        }

    def recover(self, boot: str) -> int:
        """Before the first question; gives the number of entries that the journal held.

        What takes longer than a moment is done by `tick`.

        :raises JournalError: where the journal cannot be read or written.
        """
        self._boot = boot
        self._recovering = self._monotonic()
        self._held = recover(self._journal, self._mailboxes, self._checkpoint, boot)
        self._see_recovered()
        self._boot_named = settle_boot(self._journal, self._mailboxes, boot)
        return self._held

    def answer(self, asks: Sequence[Ask]) -> list[Said]:
        """One outcome for each question, in order; all in the `epoch`."""
        # Before anything is looked up: what changes meanwhile ends it.
        self.epoch = self._lookups.epoch = self._epochs.current(self._users.current)
        answers: dict[int, Said] = {}
        writes: list[int] = []
        for index, ask in enumerate(asks):
            if isinstance(ask.question, Lookup):
                answers[index] = self._lookups.lookup(ask.question)
            elif isinstance(ask.question, Check):
                answers[index] = self._lookups.check(ask.question)
            else:
                writes.append(index)
        if writes:
            given = self._write([asks[index] for index in writes])
            answers.update(zip(writes, given, strict=True))
        return [answers[index] for index in range(len(asks))]

    def tick(self) -> None:
        """What is due without a question; call it between batches, at least every 50 ms while `busy`."""
        self._mailboxes.step()
        self._checkpoint.step()
        if self._recovering is not None:
            self._see_recovered()
        if self._monotonic() < self._journal_due:
            return
        try:
            self._record()
            if not self._boot_named:
                self._boot_named = settle_boot(self._journal, self._mailboxes, self._boot)
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
                self._checkpoint.finish()
                if not at_work or self._monotonic() > until:
                    break
            self._journal.close()
        except JournalError as error:
            log.warning("! %s", error)
        if self.waiting:
            log.warning("! waiting in the journal for their mailboxes: %s", counted(self.waiting, "entry", "entries"))

    def _see_recovered(self) -> None:
        """Tell once that nothing is in doubt any more."""
        if self._recovering is None or self._mailboxes.in_doubt:
            return
        counts, seconds = self._mailboxes.counts, self._monotonic() - self._recovering
        self._recovering = None
        log.info(
            "= recovered %s of the journal: %d whole, %d completed, %d appended, %d waiting, in %.1f s",
            counted(self._held, "entry", "entries"),
            counts.whole,
            counts.completed,
            counts.appended,
            self.waiting,
            seconds,
        )

    def _record(self) -> None:
        if not self._checkpoint.unrecorded:
            self._record_due = None
            return
        now = self._monotonic()
        if self._record_due is None:
            self._record_due = now + _RECORD_PAUSE
        if now < self._record_due:
            return
        self._record_due = None
        with self._checkpoint.transaction():
            pass

    def _write(self, asks: Sequence[Ask]) -> list[Said]:
        with Plan(self._mailboxes) as plan:
            batch = _Batch(plan, self._clock(), None)
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
                self._committed(batch, given)
                return given
        if len(asks) > 1:
            log.warning("! a batch of %d failed, each is tried alone: %s", len(asks), told)
            return [outcome for ask in asks for outcome in self._write([ask])]
        self.totals.refused[outcome.kind] += 1
        return [outcome]

    def _is_repeat(self, ask: Ask) -> bool:
        """Is it delivered already? Then the journal need not be written for it, and nobody may say that it is not."""
        try:
            return isinstance(ask.question, Deliver) and self._journal.known(ask.question.delivery)
        except JournalError:
            return False

    def _committed(self, batch: _Batch, given: list[Said]) -> None:
        self._record_due = None
        for piece in batch.pieces:
            self._lengths.add(piece.delivery, piece.offset, piece.data)
        for delivery in batch.ended:
            self._lengths.drop(delivery)
        added = [entries for _, entries in batch.deliveries]
        for entries in added:
            self._checkpoint.expect(entries)
        self.totals.committed(given, added)
        self._mailboxes.append(batch.deliveries, batch.plan.handles)
        if self._events is not None:
            _tell(self._events, batch.deliveries)

    def _commit(self, asks: Sequence[Ask], batch: _Batch) -> list[Said]:
        given: list[Said] = []
        with self._checkpoint.transaction():
            for ask in asks:
                try:
                    given.append(self._do(ask, batch))
                except RefusedError as refused:
                    given.append(refused.outcome)
            if batch.until < self._clock():
                # Planning took its time, on a disk that is slow, say. Nothing is kept that somebody has given up on.
                raise RefusedError(outcomes.EXPIRED, "a deadline passed before the commit")
        return given

    def _do(self, ask: Ask, batch: _Batch) -> Said:
        question = ask.question
        assert isinstance(question, Stage | Deliver | Discard)
        delivered = self._journal.known(question.delivery)
        if isinstance(question, Discard):
            # The pieces of a delivered message are the journal's until its mailboxes have them.
            if not delivered:
                self._journal.discard(question.delivery)
                batch.ended.append(question.delivery)
            return outcomes.Discarded()
        if isinstance(question, Stage):
            if delivered:
                return outcomes.Staged(question.offset + len(question.data))
            check_deadline(ask, batch.now)
            batch.until = ask.deadline if ask.deadline < batch.until else batch.until
            check_piece(question)
            self._check_room(question, batch)
            kept = self._journal.stage(question.delivery, question.offset, question.data, batch.now)
            batch.pieces.append(question)
            return outcomes.Staged(kept)
        if delivered:
            return outcomes.Delivered(repeat=True)
        check_deadline(ask, batch.now)
        batch.until = ask.deadline if ask.deadline < batch.until else batch.until
        self._deliver(question, batch)
        return outcomes.Delivered(repeat=False)

    def _check_room(self, question: Stage, batch: _Batch) -> None:
        """What has no room in a mailbox is not taken, piece by piece, to be refused in the end; and where journal and
        mailboxes share a disk, it would take the room of copies that wait."""
        try:
            free = self._free(batch)
        except OSError as error:
            raise RefusedError(outcomes.TROUBLE, reason(error)) from None
        if len(question.data) + SPACE_MARGIN > free:
            raise RefusedError(outcomes.DISK_FULL, f"free in the mailbox folder: {free}")

    def _free(self, batch: _Batch) -> int:
        """Octets of the mailbox folder that nobody has been promised."""
        if batch.free is None:
            batch.free = self._files.free_space() - self._mailboxes.promised
        return batch.free

    def _deliver(self, question: Deliver, batch: _Batch) -> None:
        new = check_delivery(question, batch.now, self._users, self._unlisted, self._journal)
        named = question.originals
        originals = tuple((question.mailboxes[place], address) for place, address in named) if named else ()
        message = Message(
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
                batch.plan.place(mailbox, len(rendering.head(mailbox)) + length)
                for mailbox in dict.fromkeys(question.mailboxes)
            ]
            free = self._free(batch)
        except OSError as error:
            self._epochs.end(MAILBOX)
            raise RefusedError(outcomes.TROUBLE, reason(error)) from None
        if new and self._unlisted is not None:
            self._unlisted.made(new)
        needed = sum(place.length for place in places)
        if needed + SPACE_MARGIN > free:
            raise RefusedError(outcomes.DISK_FULL, f"octets needed: {needed}, free in the mailbox folder: {free}")
        entries = self._journal.add(message, places)
        batch.free = free - needed
        batch.plan.placed(places)
        batch.deliveries.append((rendering, entries))
        if question.staged:
            batch.ended.append(question.delivery)


def _tell(events: EventLog, deliveries: list[tuple[Rendering, list[Entry]]]) -> None:
    for rendering, entries in deliveries:
        delivery, octets = escaped(rendering.delivery), sum(entry.length for entry in entries)
        events.tell(
            f"= {delivery} stored for {counted(len(entries), 'mailbox', 'mailboxes')}, {counted(octets, 'octet')}",
            members(event="stored", session=session_of(delivery), delivery=delivery, octets=octets)
            if events.fields
            else "",
        )
    events.flush()
