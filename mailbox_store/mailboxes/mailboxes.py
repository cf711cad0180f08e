"""The mailboxes: planning where an entry goes, and having it put there.

An entry is planned before the journal's commit and appended after it. What a batch has for a mailbox that is as
planned is appended at once, up to `_AT_ONCE` octets of a batch. All else waits here (places only, no text) and is
appended in portions, between the batches: what exceeds that; what is for a mailbox that is locked by a reader, is
replaced by one at that moment, or gives an error; and what is in doubt (`visit.py`). Whose turn it is (`turns.py`) is
fair to the messages, and a mailbox gets its entries in their order. A reader's mailbox is tried again every
`_LOCK_RETRY`, one that gave an error with growing pauses. The delivery stands, for the journal has it.

Fails: `open` with OSError where a mailbox cannot be written. Appending does not fail; it waits.
Limits: a waiting entry costs some 200 octets, and its message's id in the journal's memory 300. Of what waits no more
is appended than the disk keeps up with: at `_UNSYNCED` octets it rests until the checkpoint has synced them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import chain

from mailbox_store.journal.journal import Entry, Journal, JournalError, Place
from mailbox_store.mailboxes.files import Files, Handle
from mailbox_store.mailboxes.rendering import Rendering
from mailbox_store.mailboxes.turns import Turns
from mailbox_store.mailboxes.visit import LOCKED, Counts, Doubt, Task, Visit
from mailbox_store.mailboxes.writing import REPLACED, append, end_of, together

log = logging.getLogger(__name__)

# What a batch has appended before it is answered, in octets and seconds: the most that others may wait for that.
_AT_ONCE = 8 * 1024 * 1024
_AT_ONCE_SECONDS = 0.2
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
class Waiting:
    """The entries of one mailbox that are still to be appended, in order; never none."""

    tasks: deque[Task]
    pause: float = _ERROR_RETRY_MIN
    told: str = ""


class Mailboxes:
    """All mailbox files, and the entries that wait for them."""

    def __init__(self, files: Files, journal: Journal, monotonic: Callable[[], float]) -> None:
        self._files = files
        self._journal = journal
        self._monotonic = monotonic
        self._waiting: dict[str, Waiting] = {}
        self._turns = Turns(self._cost)
        self._visits: deque[tuple[Visit, Generator[int, None, None]]] = deque()
        self._renderings: dict[int, Rendering] = {}
        # Octets that the waiting entries will take of the disk.
        self.promised = 0
        # What has been appended since these were last taken: to be marked in the journal, and to be synced.
        self.unmarked: list[Entry] = []
        self.dirty: dict[str, list[Entry]] = {}
        # Octets that are not known to be on the disk; the checkpoint takes them off again.
        self.unsynced = 0
        # Mailboxes that gave an error when they were closed: what a sync says of them since does not count.
        self.distrusted: set[str] = set()
        self.counts = Counts()

    @property
    def waiting(self) -> int:
        """How many entries the journal has and their mailbox has not."""
        return sum(len(waiting.tasks) for waiting in self._waiting.values())

    @property
    def in_doubt(self) -> bool:
        """Is there an entry of which it is not known what its mailbox has of it?"""
        return any(waiting.tasks[0].doubt is not Doubt.NOTHING for waiting in self._waiting.values())

    @property
    def busy(self) -> bool:
        """Does anything wait?"""
        return bool(self._waiting)

    @property
    def full(self) -> bool:
        """Does what waits have to wait until what was appended is synced?"""
        return self.unsynced >= _UNSYNCED

    @property
    def at_work(self) -> bool:
        """Would `step` get anything done now?"""
        return bool(self._visits) or (bool(self._waiting) and not self.full and self._turns.due(self._monotonic()))

    # ------------------------------------------------------------ planning

    def open(self, mailbox: str) -> Handle:
        """:raises OSError: where the mailbox cannot be opened for writing."""
        return self._files.open(mailbox)

    def leave(self, mailbox: str, handle: Handle) -> None:
        """Close a mailbox through which nothing was written."""
        try:
            with handle:
                pass
        except OSError as error:
            self._close_failed(mailbox, error)

    def end_of(self, mailbox: str, length: int, handle: Handle) -> Place:
        """The place of an entry of `length` octets behind all that the mailbox has and will have.

        :param handle: the mailbox, open.
        """
        waiting = self._waiting.get(mailbox)
        if waiting is not None:
            last = waiting.tasks[-1].entry
            return Place(mailbox, last.start + last.length, 0, length)
        size, lead = end_of(handle)
        return Place(mailbox, size, lead, length + lead)

    # ------------------------------------------------------------ appending

    def append(self, batch: Iterable[tuple[Rendering, list[Entry]]], handles: dict[str, Handle]) -> None:
        """Put committed entries into their mailboxes, or have them wait.

        :param handles: mailboxes that are open; those that are appended to are taken out, and closed.
        """
        queues: dict[str, list[tuple[Rendering, Entry]]] = {}
        for rendering, entries in batch:
            for entry in entries:
                queues.setdefault(entry.mailbox, []).append((rendering, entry))
        room, until = _AT_ONCE, self._monotonic() + _AT_ONCE_SECONDS
        for mailbox, queue in queues.items():
            last = queue[-1][1]
            octets = last.start + last.length - queue[0][1].start
            doubt: Doubt | None = Doubt.NOTHING
            if octets <= room and mailbox not in self._waiting and self._monotonic() <= until:
                room -= octets
                doubt = self._append_at_once(mailbox, queue, handles.pop(mailbox, None))
            if doubt is None:
                self._appended(mailbox, [entry for _, entry in queue], octets)
            else:
                for rendering, entry in queue:
                    self._keep(entry.number, rendering)
                self.wait(mailbox, [Task(entry, doubt) for _, entry in queue])

    def _append_at_once(
        self, mailbox: str, queue: list[tuple[Rendering, Entry]], handle: Handle | None
    ) -> Doubt | None:
        """Append to a mailbox that is as it was planned. Where it is not, or cannot be: what may be in it of that.

        :param handle: the mailbox, if it is open already; it is closed.
        """
        first = queue[0][1]
        doubt: Doubt | None = Doubt.NOTHING
        try:
            with handle or self._files.open(mailbox) as handle:
                try:
                    if handle.lock() and handle.stands() and end_of(handle) == (first.start, first.lead):
                        doubt = Doubt.PART
                        pieces = chain.from_iterable([rendering.pieces(entry) for rendering, entry in queue])
                        for _ in append(handle, first.start, together(pieces)):
                            pass
                        doubt = None
                except (OSError, JournalError) as error:
                    # The visit that is made then tells it, if it still is so.
                    log.debug("! %s: %s", mailbox, error)
        except OSError as error:
            if handle is not None:
                doubt = doubt if doubt is Doubt.NOTHING else Doubt.ANY
                self._close_failed(mailbox, error)
        return doubt

    def _appended(self, mailbox: str, entries: list[Entry], octets: int) -> None:
        self.unmarked += entries
        self.dirty.setdefault(mailbox, []).extend(entries)
        self.unsynced += octets

    def _keep(self, number: int, rendering: Rendering) -> None:
        self._renderings.pop(number, None)
        while len(self._renderings) >= _RENDERINGS:
            del self._renderings[next(iter(self._renderings))]
        self._renderings[number] = rendering

    def _rendering(self, number: int) -> Rendering:
        rendering = self._renderings.get(number)
        if rendering is None:
            rendering = Rendering(self._journal, self._journal.message(number))
            self._keep(number, rendering)
        return rendering

    # ------------------------------------------------------------ what waits

    def wait(self, mailbox: str, tasks: Iterable[Task]) -> None:
        """Have entries appended behind what waits for their mailbox already."""
        tasks = deque(tasks)
        self.promised += sum(_text(task.entry) for task in tasks)
        waiting = self._waiting.get(mailbox)
        if waiting is not None:
            waiting.tasks.extend(tasks)
        else:
            self._waiting[mailbox] = Waiting(tasks)
            self._turns.add(mailbox)

    def doubt(self, mailbox: str, entries: Iterable[Entry]) -> None:
        """Have entries written again that the kernel could not bring to the disk."""
        log.error("! %s could not be synced; its last entries are written again", mailbox)
        self._doubt(mailbox, entries, _ERROR_RETRY_MAX)

    def _doubt(self, mailbox: str, entries: Iterable[Entry], pause: float) -> None:
        self._break_off(mailbox)
        # Those that were appended since may have been part of what failed as well.
        since = self.dirty.pop(mailbox, [])
        self.unsynced -= sum(entry.length for entry in since)
        again = [Task(entry, Doubt.UNSYNCED) for entry in chain(entries, since)]
        if not again:
            return
        self.promised += sum(_text(task.entry) for task in again)
        waiting = self._waiting.get(mailbox)
        if waiting is not None:
            waiting.tasks.extendleft(reversed(again))
        else:
            self._waiting[mailbox] = Waiting(deque(again))
            self._turns.add_later(mailbox, self._monotonic() + pause)

    def _close_failed(self, mailbox: str, why: object) -> None:
        """A close tells what a sync would have told, and neither tells it twice."""
        log.error("! %s: close: %s; its last entries are written again", mailbox, why)
        self.distrusted.add(mailbox)
        self._doubt(mailbox, (), _CLOSE_RETRY)

    def step(self) -> None:
        """A portion of what waits and is due."""
        if not self._waiting:
            return
        now = self._monotonic()
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
            now = self._monotonic()

    def hurry(self) -> None:
        """Have all that waits for a reader, or after an error, tried now."""
        self._turns.hurry()

    def work(self, seconds: float) -> None:
        """Do what can be done of what waits, for so long at most."""
        until = self._monotonic() + seconds
        while self.at_work and self._monotonic() <= until:
            self.step()

    def break_off(self) -> None:
        """End all visits under way."""
        for visit, _ in list(self._visits):
            self._break_off(visit.mailbox)

    def _begin(self, now: float) -> bool:
        """Begin visits while there may be more of them; are there any?"""
        while len(self._visits) < _VISITS and not self.full and (mailbox := self._turns.next(now)) is not None:
            waiting = self._waiting[mailbox]
            visit = Visit(
                mailbox,
                waiting.tasks,
                self._files,
                self._journal,
                self._rendering,
                self.counts,
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
        mailbox, waiting = visit.mailbox, self._waiting[visit.mailbox]
        if visit.done:
            self.promised -= sum(map(_text, visit.done))
            self._appended(mailbox, visit.done, sum(entry.length for entry in visit.done))
        if not waiting.tasks:
            del self._waiting[mailbox]
            if waiting.told:
                log.info("= %s has got what waited for it", mailbox)
        elif visit.trouble:
            self._try_again(mailbox, waiting, visit.trouble)
        else:
            waiting.pause = _ERROR_RETRY_MIN
            self._turns.add(mailbox)
        if visit.close_failed:
            self._close_failed(mailbox, visit.trouble)

    def _try_again(self, mailbox: str, waiting: Waiting, trouble: str) -> None:
        if trouble != waiting.told:
            log.warning("! %s: waiting in the journal, %d so far: %s", mailbox, len(waiting.tasks), trouble)
            waiting.told = trouble
        pause = _LOCK_RETRY
        if trouble not in (LOCKED, REPLACED):
            pause, waiting.pause = waiting.pause, min(2 * waiting.pause, _ERROR_RETRY_MAX)
        self._turns.add_later(mailbox, self._monotonic() + pause)

    def _cost(self, mailbox: str) -> tuple[int, int]:
        entry = self._waiting[mailbox].tasks[0].entry
        return entry.number, entry.length


def _text(entry: Entry) -> int:
    """The octets of an entry without the newlines before it, which depend on its place."""
    return entry.length - entry.lead
