"""What still waits for a mailbox, and what mailboxes already have that is not settled yet.

An entry that could not be appended right after its commit (`plan.py`), or is in doubt after a start (`visit.py`),
waits here: its place only, no text. It is appended in portions, between the batches. Whose turn it is (`turns.py`) is
fair to the messages, and a mailbox gets its entries in their order. A reader's mailbox is tried again every
`_LOCK_RETRY`, one that gave an error with growing pauses. The delivery stands, for the journal has it.

Gives: `Mailboxes`. The checkpoint asks here for whatever was appended, syncs it and tells the journal.
Fails: never; what cannot be appended goes on waiting.
Limits: a waiting entry costs some 200 octets, and its message's id in the journal's memory 300. No more is appended
than the disk keeps up with: at `_UNSYNCED` octets appending rests until the checkpoint has synced them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from dataclasses import dataclass
from itertools import chain

from mailbox_store.journal.journal import HeldEntry, Journal
from mailbox_store.mailboxes.files import Files
from mailbox_store.mailboxes.rendering import Rendering
from mailbox_store.mailboxes.turns import Turns
from mailbox_store.mailboxes.visit import LOCKED, Doubt, Settled, ToAppend, Visit
from mailbox_store.mailboxes.writing import REPLACED
from wire.records import Record

log = logging.getLogger(__name__)

# A portion of what waits, between two batches; a piece of a message, 1 MiB at most, may come on top.
_PORTION = 2 * 1024 * 1024
_PORTION_SECONDS = 0.02
# Mailboxes that are visited at a time, so that a search through a large one does not keep all others waiting.
_VISITS = 4
# A quarter of a second's work of a common disk: more of it would keep each commit's sync waiting for longer.
_UNSYNCED = 64 * 1024 * 1024
# Renderings that are kept for the next mailbox of the same message, with `rendering.HELD` octets each at most.
_RENDERINGS = 4
# A mail reader holds its lock for the time of a rewrite; a person does not notice this.
_LOCK_RETRY = 0.05
_CLOSE_RETRY = 1.0
_ERROR_RETRY_MIN = 0.1
_ERROR_RETRY_MAX = 5.0


@dataclass(slots=True)
class Queue:
    """The entries of one mailbox that are still to be appended, in order; never none."""

    tasks: deque[ToAppend]
    pause: float = _ERROR_RETRY_MIN
    told: str = ""


class Unsynced(Record):
    """What one round of syncs is to bring to the disk: entries by their mailbox, and how many octets they are."""

    entries: dict[str, list[HeldEntry]]
    octets: int


class Mailboxes:
    """All mailboxes: what waits for them, and what they have got since the journal and the disk last knew."""

    def __init__(self, files: Files, journal: Journal, monotonic: Callable[[], float]) -> None:
        self._files = files
        self._journal = journal
        self.monotonic = monotonic
        # By their mailbox.
        self.queues: dict[str, Queue] = {}
        self._turns = Turns(self._cost)
        self._visits: deque[tuple[Visit, Generator[int, None, None]]] = deque()
        self._renderings: dict[int, Rendering] = {}
        # Octets that the waiting entries will take of the disk.
        self.promised = 0
        # What has been appended and is not marked so in the journal; whoever has marked it clears this.
        self.unmarked: list[HeldEntry] = []
        # What has been appended since the last round of syncs began.
        self.dirty: dict[str, list[HeldEntry]] = {}
        # Octets that are not known to be on the disk, those that a round is about to sync included.
        self.unsynced = 0
        # Mailboxes that gave an error when they were closed: what a sync says of them since does not count.
        self._distrusted: set[str] = set()
        # What became of entries in doubt.
        self.settled = Settled()

    @property
    def waiting(self) -> int:
        """How many entries the journal has and their mailbox has not."""
        return sum(len(waiting.tasks) for waiting in self.queues.values())

    @property
    def in_doubt(self) -> bool:
        """Is there an entry of which it is not known what its mailbox has of it?"""
        return any(waiting.tasks[0].doubt is not Doubt.NOTHING for waiting in self.queues.values())

    @property
    def busy(self) -> bool:
        """Does anything wait?"""
        return bool(self.queues)

    @property
    def full(self) -> bool:
        """Does what waits have to wait until what was appended is synced?"""
        return self.unsynced >= _UNSYNCED

    @property
    def at_work(self) -> bool:
        """Would `step` get anything done now?"""
        return bool(self._visits) or (bool(self.queues) and not self.full and self._turns.due(self.monotonic()))

    # ------------------------------------------------------------ what was appended

    def appended(self, mailbox: str, entries: list[HeldEntry], octets: int) -> None:
        """A mailbox has got these; neither does the journal know it yet, nor are they on disk by themselves."""
        self.unmarked += entries
        self.dirty.setdefault(mailbox, []).extend(entries)
        self.unsynced += octets

    def begin_sync(self) -> Unsynced:
        """All that was appended and is in no round of syncs yet, for the one that begins now; `end_sync` ends it."""
        # What they gave an error for before is not among these.
        self._distrusted.clear()
        dirty, self.dirty = self.dirty, {}
        return Unsynced(dirty, self.unsynced)

    def end_sync(self, unsynced: Unsynced, failed: Collection[str]) -> list[HeldEntry]:
        """Take in what became of it: gives the entries that are on disk, and has the others written again.

        :param failed: the mailboxes that could not be synced.
        """
        self.unsynced -= unsynced.octets
        synced: list[HeldEntry] = []
        for mailbox, entries in unsynced.entries.items():
            if mailbox in failed or mailbox in self._distrusted:
                log.error("! %s could not be synced; its last entries are written again", mailbox)
                self._doubt(mailbox, entries, _ERROR_RETRY_MAX)
            else:
                synced += entries
        return synced

    def keep(self, number: int, rendering: Rendering) -> None:
        """Keep the rendering of the message of that number for the next visit to a mailbox that it waits for."""
        self._renderings.pop(number, None)
        while len(self._renderings) >= _RENDERINGS:
            del self._renderings[next(iter(self._renderings))]
        self._renderings[number] = rendering

    def _rendering(self, number: int) -> Rendering:
        rendering = self._renderings.get(number)
        if rendering is None:
            rendering = Rendering(self._journal, self._journal.message(number))
            self.keep(number, rendering)
        return rendering

    # ------------------------------------------------------------ what waits

    def wait(self, mailbox: str, tasks: Iterable[ToAppend]) -> None:
        """Have entries appended behind what waits for their mailbox already."""
        tasks = deque(tasks)
        self.promised += sum(_text(task.entry) for task in tasks)
        waiting = self.queues.get(mailbox)
        if waiting is not None:
            waiting.tasks.extend(tasks)
        else:
            self.queues[mailbox] = Queue(tasks)
            self._turns.add(mailbox)

    def _doubt(self, mailbox: str, entries: Iterable[HeldEntry], pause: float) -> None:
        self._break_off(mailbox)
        # Those that were appended since may have been part of what failed as well.
        since = self.dirty.pop(mailbox, [])
        self.unsynced -= sum(entry.length for entry in since)
        again = [ToAppend(entry, Doubt.UNSYNCED) for entry in chain(entries, since)]
        if not again:
            return
        self.promised += sum(_text(task.entry) for task in again)
        waiting = self.queues.get(mailbox)
        if waiting is not None:
            waiting.tasks.extendleft(reversed(again))
        else:
            self.queues[mailbox] = Queue(deque(again))
            self._turns.add_later(mailbox, self.monotonic() + pause)

    def close_failed(self, mailbox: str, why: object) -> None:
        """A mailbox gave an error when it was closed. That is what a sync would have told, and it is told once."""
        log.error("! %s: close: %s; its last entries are written again", mailbox, why)
        self._distrusted.add(mailbox)
        self._doubt(mailbox, (), _CLOSE_RETRY)

    def step(self) -> None:
        """A portion of what waits and is due."""
        if not self.queues:
            return
        now = self.monotonic()
        left, until = _PORTION, now + _PORTION_SECONDS
        while left > 0 and now <= until and self._begin(now):
            visit, portions = self._visits[0]
            try:
                left -= next(portions)
            except StopIteration:
                self._visits.popleft()
                self._end(visit)
            else:
                self._visits.rotate(-1)
            now = self.monotonic()

    def hurry(self) -> None:
        """Have all that waits for a reader, or after an error, tried now."""
        self._turns.hurry()

    def work(self, seconds: float) -> None:
        """Do what can be done of what waits, for so long at most."""
        until = self.monotonic() + seconds
        while self.at_work and self.monotonic() <= until:
            self.step()

    def break_off(self) -> None:
        """End all visits under way."""
        for visit, _ in list(self._visits):
            self._break_off(visit.mailbox)

    def _begin(self, now: float) -> bool:
        """Begin visits while there may be more of them; are there any?"""
        while len(self._visits) < _VISITS and not self.full and (mailbox := self._turns.next(now)) is not None:
            waiting = self.queues[mailbox]
            visit = Visit(
                mailbox,
                waiting.tasks,
                self._files,
                self._journal,
                self._rendering,
                self.settled,
                alone=waiting.pause > _ERROR_RETRY_MIN,
            )
            self._visits.append((visit, visit.portions()))
        return bool(self._visits)

    def _break_off(self, mailbox: str) -> None:
        """End the visit to a mailbox, if there is one; what it has not done is to do again."""
        for each in self._visits:
            visit, portions = each
            if visit.mailbox == mailbox:
                self._visits.remove(each)
                portions.close()
                self._end(visit)
                return

    def _end(self, visit: Visit) -> None:
        mailbox, waiting = visit.mailbox, self.queues[visit.mailbox]
        if visit.done:
            self.promised -= sum(map(_text, visit.done))
            self.appended(mailbox, visit.done, sum(entry.length for entry in visit.done))
        if not waiting.tasks:
            del self.queues[mailbox]
            if waiting.told:
                log.info("= %s has got what waited for it", mailbox)
        elif visit.trouble:
            self._try_again(mailbox, waiting, visit.trouble)
        else:
            waiting.pause = _ERROR_RETRY_MIN
            self._turns.add(mailbox)
        if visit.close_failed:
            self.close_failed(mailbox, visit.trouble)

    def _try_again(self, mailbox: str, waiting: Queue, trouble: str) -> None:
        if trouble != waiting.told:
            log.warning("! %s: waiting in the journal, %d so far: %s", mailbox, len(waiting.tasks), trouble)
            waiting.told = trouble
        pause = _LOCK_RETRY
        if trouble not in (LOCKED, REPLACED):
            pause, waiting.pause = waiting.pause, min(2 * waiting.pause, _ERROR_RETRY_MAX)
        self._turns.add_later(mailbox, self.monotonic() + pause)

    def _cost(self, mailbox: str) -> tuple[int, int]:
        entry = self.queues[mailbox].tasks[0].entry
        return entry.number, entry.length


def _text(entry: HeldEntry) -> int:
    """The octets of an entry without the newlines before it, which depend on its place."""
    return entry.length - entry.lead
