"""The checkpoint: once a mailbox is on disk by itself, the journal forgets what it held for that mailbox. The journal
also forgets by the clock: ids that no repeat can name any more, and pieces of messages that never ended.

The fsyncs and the journal's upkeep are done by a second thread, off the reply path, one round after another while
there is something to sync. What a round found on disk is told to the journal by the store's own thread, in bounded
portions, inside a transaction that the store runs.

Gives: `Checkpoint`; `Tidying`, which forgets by the clock, in small portions; the times that the promises rest on.
Fails: a mailbox whose fsync fails has its entries written again and synced again (the kernel counts pages as clean
after a failed fsync, so a mere second fsync proves nothing), and so has one that could not be closed meanwhile. The
journal keeps them until that succeeds.
Limits: the entries of about one round are held, some 200 octets each. If a user renames a mailbox between a delivery
and its round, mostly a second later, the old name is synced, which by then is another file or none.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future

from mailbox_store.journal.journal import Forgotten, HeldEntry, Journal, JournalError
from mailbox_store.mailboxes.files import Files
from mailbox_store.mailboxes.mailboxes import Mailboxes, Unsynced
from mailbox_store.metrics import Totals
from runtime import counted

log = logging.getLogger(__name__)

# The journal holds about this many seconds of mail, more where syncs take long; each mailbox is synced at most this
# often.
INTERVAL = 1.0
# After a long round the disk has rest, twice as long but not over so many seconds: each fsync keeps the next commit
# waiting, and a mailbox that gets more mail meanwhile is synced once for all of it.
_REST = 2.0
_REST_MOST = 10.0
# Rows that one transaction on the reply path forgets: some 3 ms.
_PORTION = 500

_HOUR = 3_600_000
# A delivery whose time is further from now than this, on either side, is refused: a repeat of it might come after
# its id was dropped. The longest wait that a living session allows (timeouts and retries) is minutes.
LEDGER_REACH = 12 * _HOUR
# An id goes when its message's time is so far past, which leaves LEDGER_REACH for clocks that are set back. One of a
# time so far ahead is from a clock that was wrong.
LEDGER_KEPT = 2 * LEDGER_REACH
PIECES_KEPT = 24 * _HOUR
# Ids dropped in one transaction: some 5 ms.
_PRUNE_PORTION = 1000
_PRUNE_INTERVAL = 60.0
_STALE_INTERVAL = 3600.0


class Checkpoint:
    """Counts what the journal holds, has it synced, and says what the journal may forget."""

    def __init__(
        self,
        files: Files,
        journal: Journal,
        mailboxes: Mailboxes,
        executor: Executor,
        monotonic: Callable[[], float],
        totals: Totals,
    ) -> None:
        self._files = files
        self._journal = journal
        self._mailboxes = mailboxes
        self._executor = executor
        self._monotonic = monotonic
        self._totals = totals
        # The round under way, and what will become of it: the mailboxes that could not be synced.
        self._unsynced = Unsynced({}, 0)
        self._round: Future[set[str]] | None = None
        self._began = 0.0
        # When the disk has had its rest, and when the next round begins where nothing waits for it.
        self._rested = 0.0
        self._due = 0.0
        # Entries of each message that are not on disk yet.
        self._open: dict[int, int] = {}
        # On disk, and to be forgotten.
        self._synced: list[HeldEntry] = []

    @property
    def unrecorded(self) -> bool:
        """Is there something that the journal should be told?"""
        return bool(self._synced or self._mailboxes.unmarked)

    @property
    def held(self) -> int:
        """How many messages the journal holds."""
        return len(self._open)

    @property
    def oldest(self) -> int | None:
        """The number of the oldest of them."""
        return min(self._open, default=None)

    @property
    def idle(self) -> bool:
        """Has the journal nothing left that could still be forgotten?"""
        return not (self.unrecorded or self._mailboxes.dirty or self._round)

    def hold(self, entries: list[HeldEntry]) -> None:
        """The journal holds these from now on."""
        for entry in entries:
            self._open[entry.number] = self._open.get(entry.number, 0) + 1

    def record(self) -> list[HeldEntry]:
        """Tell the journal what has been appended, and have it forget what is on disk. Inside a transaction.

        :returns: what is forgotten once that is committed, for `recorded`.
        """
        synced = self._synced[:_PORTION]
        # What is forgotten need not be marked.
        marked = set(synced) if synced else ()
        unmarked = [entry for entry in self._mailboxes.unmarked if entry not in marked]
        if unmarked:
            self._journal.set_appended(unmarked)
        if synced:
            counts = Counter(entry.number for entry in synced)
            last = [number for number, count in counts.items() if count == self._open[number]]
            self._journal.forget(Forgotten(synced, last))
        return synced

    def recorded(self, synced: list[HeldEntry]) -> None:
        """What `record` has told is committed, and need not be told again."""
        for entry in synced:
            left = self._open[entry.number] - 1
            if left:
                self._open[entry.number] = left
            else:
                del self._open[entry.number]
        del self._synced[: len(synced)]
        self._mailboxes.unmarked.clear()

    def step(self) -> None:
        """Take in a finished round; start one when it is time."""
        if self._round is not None and self._round.done():
            self._end(self._round)
            now = self._monotonic()
            self._rested = now + min(_REST * (now - self._began), _REST_MOST)
            self._due = max(self._began + INTERVAL, self._rested)
        due = self._rested if self._mailboxes.full else self._due
        if self._round is None and self._mailboxes.dirty and self._monotonic() >= due:
            self._begin()

    def sync_all(self) -> None:
        """Sync all that can be, now, and wait for that."""
        if self._round is not None:
            self._end(self._round)
        if self._mailboxes.dirty:
            self._end(self._begin())

    def _begin(self) -> Future[set[str]]:
        self._unsynced = self._mailboxes.begin_sync()
        self._began = self._monotonic()
        self._round = self._executor.submit(self._sync, list(self._unsynced.entries))
        return self._round

    def _end(self, outcome: Future[set[str]]) -> None:
        self._synced += self._mailboxes.end_sync(self._unsynced, outcome.result())
        self._round = None

    def _sync(self, mailboxes: list[str]) -> set[str]:
        """In the second thread. Gives those that could not be synced."""
        failed: set[str] = set()
        before = began = self._monotonic()
        for mailbox in mailboxes:
            try:
                self._files.sync(mailbox)
            except OSError as error:
                log.error("! %s: fsync: %s", mailbox, error)  # noqa: TRY400  # the trace says nothing more
                failed.add(mailbox)
                before = self._monotonic()
                continue
            after = self._monotonic()
            self._totals.sync.add(after - before)
            before = after
        try:
            # A mailbox may have been made, or replaced by its reader.
            self._files.sync_folder()
        except OSError as error:
            log.error("! the mailbox folder: fsync: %s", error)  # noqa: TRY400
            return set(mailboxes)
        try:
            self._journal.maintain()
        except JournalError as error:
            log.warning("! %s", error)
        self._totals.round.add(self._monotonic() - began)
        return failed


class Tidying:
    """What the journal forgets by the clock, and when what was done last.

    :param clock: ms since the epoch.
    :param monotonic: seconds, for pauses.
    """

    def __init__(self, journal: Journal, clock: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._monotonic = monotonic
        self._prune_due = 0.0
        self._stale_due = 0.0

    def step(self) -> None:
        """Do what is due.

        :raises JournalError: where the journal cannot be written.
        """
        now = self._monotonic()
        if now >= self._prune_due:
            wall = self._clock()
            with self._journal.transaction():
                pruned = self._journal.prune(wall - LEDGER_KEPT, wall + LEDGER_KEPT, _PRUNE_PORTION)
            # A full portion: there is more, and it goes at the next tick.
            self._prune_due = now if pruned == _PRUNE_PORTION else now + _PRUNE_INTERVAL
        if now >= self._stale_due:
            with self._journal.transaction():
                stale = self._journal.drop_stale(self._clock() - PIECES_KEPT)
            self._stale_due = now + _STALE_INTERVAL
            if stale:
                log.info("= dropped the pieces of %s without an end", counted(stale, "message"))
