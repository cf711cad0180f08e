"""The checkpoint: once a mailbox is on disk by itself, the journal forgets what it held for it.

The fsyncs and the journal's upkeep are done by a second thread, off the reply path, one round after another while
there is something to sync. What a round found on disk is recorded by the store's own thread, in bounded portions,
together with whatever it commits anyway.

Fails: a mailbox whose fsync fails has its entries written again and synced again (the kernel counts pages as clean
after a failed fsync, so a mere second fsync proves nothing), and so has one that could not be closed meanwhile. The
journal keeps them until that succeeds.
Limits: the entries of about one round are held, some 200 octets each. A mailbox that its user renames between a
delivery and its round, which is a second mostly, is synced under its old name: somebody else's or nobody's by then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from mailbox_store.journal.journal import Entry, Forgotten, Journal, JournalError
from mailbox_store.mailboxes.files import Files
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.metrics import Totals

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


@dataclass(slots=True)
class _Round:
    """What one round of syncs found."""

    synced: dict[str, list[Entry]] = field(default_factory=dict)
    failed: dict[str, list[Entry]] = field(default_factory=dict)


class Checkpoint:
    """Counts what is open, starts rounds of syncs, and tells the journal of their outcome."""

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
        self._round: Future[_Round] | None = None
        # The octets that it syncs.
        self._octets = 0
        self._began = 0.0
        # When the disk has had its rest, and when the next round begins where nothing waits for it.
        self._rested = 0.0
        self._due = 0.0
        # Entries of each message that are not on disk yet.
        self._open: dict[int, int] = {}
        # On disk, and to be forgotten.
        self._synced: list[Entry] = []

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
    def settled(self) -> bool:
        """Has the journal nothing left that could still be forgotten?"""
        return not (self.unrecorded or self._mailboxes.dirty or self._round)

    def expect(self, entries: list[Entry]) -> None:
        """Count entries that the journal holds."""
        for entry in entries:
            self._open[entry.number] = self._open.get(entry.number, 0) + 1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction of the journal that also tells it what has been appended and what is on disk."""
        with self._journal.transaction():
            synced = self._record()
            yield
        self._recorded(synced)

    def _record(self) -> list[Entry]:
        synced = self._synced[:_PORTION]
        # What is forgotten need not be marked.
        marked = set(synced) if synced else ()
        unmarked = [entry for entry in self._mailboxes.unmarked if entry not in marked]
        if unmarked:
            self._journal.set_appended(unmarked)
        if synced:
            self._journal.forget(Forgotten(synced, self._last_of(synced)))
        return synced

    def _recorded(self, synced: list[Entry]) -> None:
        """What the journal has been told, and has committed, need not be told again."""
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
            self._take(self._round.result())
            now = self._monotonic()
            self._rested = now + min(_REST * (now - self._began), _REST_MOST)
            self._due = max(self._began + INTERVAL, self._rested)
        due = self._rested if self._mailboxes.full else self._due
        if self._round is None and self._mailboxes.dirty and self._monotonic() >= due:
            self._start()

    def finish(self) -> None:
        """Sync and record all that can be, now. Raises JournalError where that cannot be recorded."""
        if self._round is not None:
            self._take(self._round.result())
        if self._mailboxes.dirty:
            self._take(self._start().result())
        while self.unrecorded:
            with self.transaction():
                pass

    def _start(self) -> Future[_Round]:
        dirty, self._mailboxes.dirty = self._mailboxes.dirty, {}
        self._octets = self._mailboxes.unsynced
        # What they gave an error for before is not among these.
        self._mailboxes.distrusted.clear()
        self._began = self._monotonic()
        self._round = self._executor.submit(self._sync, dirty)
        return self._round

    def _take(self, outcome: _Round) -> None:
        self._round = None
        self._mailboxes.unsynced -= self._octets
        for mailbox in self._mailboxes.distrusted & outcome.synced.keys():
            outcome.failed[mailbox] = outcome.synced.pop(mailbox)
        for entries in outcome.synced.values():
            self._synced += entries
        for mailbox, entries in outcome.failed.items():
            self._mailboxes.doubt(mailbox, entries)

    def _last_of(self, synced: list[Entry]) -> list[int]:
        """The messages of which these are the last entries."""
        counts: dict[int, int] = {}
        for entry in synced:
            counts[entry.number] = counts.get(entry.number, 0) + 1
        return [number for number, count in counts.items() if count == self._open[number]]

    def _sync(self, dirty: dict[str, list[Entry]]) -> _Round:
        """In the second thread."""
        outcome = _Round()
        before = began = self._monotonic()
        for mailbox, entries in dirty.items():
            try:
                self._files.sync(mailbox)
            except OSError as error:
                log.error("! %s: fsync: %s", mailbox, error)  # noqa: TRY400  # the trace says nothing more
                outcome.failed[mailbox] = entries
                before = self._monotonic()
                continue
            outcome.synced[mailbox] = entries
            after = self._monotonic()
            self._totals.sync.add(after - before)
            before = after
        try:
            # A mailbox may have been made, or replaced by its reader.
            self._files.sync_folder()
        except OSError as error:
            log.error("! the mailbox folder: fsync: %s", error)  # noqa: TRY400
            return _Round(failed=dirty)
        try:
            self._journal.maintain()
        except JournalError as error:
            log.warning("! %s", error)
        self._totals.round.add(self._monotonic() - began)
        return outcome
