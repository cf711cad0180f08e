"""The mailboxes: planning where an entry goes, and putting it there.

An entry is planned before the journal's commit and appended after it, under the kernel's lock. Between the two a
user may have changed the file; then the plan is corrected in the journal first, by a commit of its own. So whatever
is cut short, the journal knows where every octet of the store's was to go.

A mailbox that is locked by a reader, is replaced by one at that moment or gives an error keeps its entries waiting
here (places only, no text), in order, and is tried again: every `_LOCK_RETRY` for a reader, with growing pauses for
errors. The delivery stands, for the journal has it.

Fails: `open` with OSError where a mailbox cannot be written. Appending does not fail; it waits.
Limits: a waiting entry costs some 200 octets, and its message's id in the journal's memory 300.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from mailbox_store.evidence import Evidence, examine
from mailbox_store.files import Files, Handle
from mailbox_store.journal import Entry, Journal, JournalError, Place
from mailbox_store.rendering import Rendering
from mailbox_store.writing import append, end_of, overwrite, together
from wire.records import Record, replace

log = logging.getLogger(__name__)

# A mail reader holds its lock for the time of a rewrite; a person does not notice this.
_LOCK_RETRY = 0.05
# Entries of one mailbox that are caught up in one go, some 10 ms of it, and 70 where each is in doubt, for a write of
# all of them failed: others wait for their answers meanwhile.
_CATCH_UP = 500
_ERROR_RETRY_MIN = 0.1
_ERROR_RETRY_MAX = 5.0


class Doubt(enum.Enum):
    """What may be in the file of an entry that is to be appended."""

    NOTHING = enum.auto()  # not an octet
    PART = enum.auto()  # a beginning, left by a process that was killed or by an error
    ANY = enum.auto()  # whatever a loss of power leaves
    # All of it, unless its user has removed it. But the kernel could perhaps not bring it to the disk, and has
    # forgotten that: it tells a failed sync once, and the next sync has nothing to do.
    UNSYNCED = enum.auto()


class _Mend(enum.Enum):
    """What is done with an entry that was in doubt."""

    LEAVE = enum.auto()
    REWRITE = enum.auto()
    APPEND = enum.auto()


# By what is in the mailbox: for an entry that was not known to be appended, and for one that was (UNSYNCED).
_MENDS = {
    # What readers see the disk may not have: a sync of it may have failed before it was marked.
    Evidence.WHOLE: (_Mend.REWRITE, _Mend.REWRITE),
    Evidence.TORN: (_Mend.REWRITE, _Mend.REWRITE),
    Evidence.ELSEWHERE: (_Mend.LEAVE, _Mend.LEAVE),
    # What was there once and is not has been removed by its user.
    Evidence.ABSENT: (_Mend.APPEND, _Mend.LEAVE),
}


class Task(Record):
    """An entry to append."""

    entry: Entry
    doubt: Doubt = Doubt.NOTHING


@dataclass(slots=True)
class Waiting:
    """The entries of one mailbox that could not be appended yet, in order."""

    tasks: deque[Task]
    due: float
    pause: float = _ERROR_RETRY_MIN
    told: str = ""


@dataclass(slots=True)
class Counts:
    """What became of entries that were in doubt."""

    whole: int = 0
    completed: int = 0
    appended: int = 0


class Mailboxes:
    """All mailbox files, and the entries that wait for them."""

    def __init__(self, files: Files, journal: Journal, monotonic: Callable[[], float]) -> None:
        self._files = files
        self._journal = journal
        self._monotonic = monotonic
        self._waiting: dict[str, Waiting] = {}
        # Texts of the batch under way, so that they are not read back from the journal.
        self._fresh: dict[int, Rendering] = {}
        # What has been appended since these were last taken: to be marked in the journal, and to be synced.
        self.unmarked: list[Entry] = []
        self.dirty: dict[str, list[Entry]] = {}
        self.counts = Counts()

    @property
    def waiting(self) -> int:
        """How many entries the journal has and their mailbox has not."""
        return sum(len(waiting.tasks) for waiting in self._waiting.values())

    def open(self, mailbox: str) -> Handle:
        """:raises OSError: where the mailbox cannot be opened for writing."""
        return self._files.open(mailbox)

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

    def append(self, batch: Iterable[tuple[Rendering, list[Entry]]], handles: dict[str, Handle]) -> None:
        """Put committed entries into their mailboxes, or have them wait.

        :param handles: mailboxes that are open; those that are appended to are taken out, and closed.
        """
        tasks: dict[str, deque[Task]] = {}
        for rendering, entries in batch:
            for entry in entries:
                self._fresh[entry.number] = rendering
                tasks.setdefault(entry.mailbox, deque()).append(Task(entry))
        for mailbox, queue in tasks.items():
            if mailbox in self._waiting:
                self.serve(mailbox, queue)
            else:
                self._work(mailbox, Waiting(queue, 0.0), opened=handles.pop(mailbox, None))
        self._fresh.clear()

    def serve(self, mailbox: str, tasks: deque[Task]) -> None:
        """Append to one mailbox, behind what waits for it already."""
        waiting = self._waiting.get(mailbox)
        if waiting is not None:
            waiting.tasks.extend(tasks)
        else:
            self._work(mailbox, Waiting(tasks, 0.0))

    def retry(self, *, all_now: bool = False) -> None:
        """Try again what waits and is due."""
        if not self._waiting:
            return
        now = self._monotonic()
        for mailbox, waiting in list(self._waiting.items()):
            if all_now:
                self._work(mailbox, waiting)
            elif waiting.due <= now:
                self._work(mailbox, waiting, _CATCH_UP)

    def doubt(self, mailbox: str, entries: Iterable[Entry]) -> None:
        """Have entries written again that the kernel could not bring to the disk."""
        log.error("! %s could not be synced; its last entries are written again", mailbox)
        # Those that were appended since may have been part of the failed sync as well.
        since = self.dirty.pop(mailbox, [])
        again = [Task(entry, Doubt.UNSYNCED) for entry in chain(entries, since)]
        waiting = self._waiting.setdefault(mailbox, Waiting(deque(), self._monotonic() + _ERROR_RETRY_MAX))
        waiting.tasks.extendleft(reversed(again))

    def _work(self, mailbox: str, waiting: Waiting, most: int | None = None, opened: Handle | None = None) -> None:
        """Append what waits, up to `most` entries of it.

        :param opened: the mailbox, if it is open already; it is closed.
        """
        try:
            with opened or self._files.open(mailbox) as handle:
                if not handle.lock():
                    self._wait(mailbox, waiting, "another program holds its lock", _LOCK_RETRY)
                elif not handle.stands() or not self._fill(handle, waiting.tasks, most):
                    self._wait(mailbox, waiting, "another program has replaced it", _LOCK_RETRY)
                elif waiting.tasks:
                    waiting.due = self._monotonic()
                elif self._waiting.pop(mailbox, None) is not None:
                    log.info("= %s has got what waited for it", mailbox)
        except (OSError, JournalError) as error:
            self._wait(mailbox, waiting, str(error), waiting.pause)
            waiting.pause = min(2 * waiting.pause, _ERROR_RETRY_MAX)

    def _fill(self, handle: Handle, tasks: deque[Task], most: int | None) -> bool:
        """Append up to `most` entries; false where the file is the mailbox no more, and they are to do again."""
        done: list[Entry] = []
        stands = False
        try:
            left = len(tasks) if most is None else min(most, len(tasks))
            while left:
                settled = self._settle(handle, tasks, left)
                done += [tasks.popleft().entry for _ in range(settled)]
                left -= settled
        finally:
            stands = handle.stands()
            if stands:
                for entry in done:
                    self._appended(entry)
            else:
                # What replaced it may have been made before these were appended, or after.
                tasks.extendleft(Task(entry, Doubt.PART) for entry in reversed(done))
        return stands

    def _wait(self, mailbox: str, waiting: Waiting, reason: str, pause: float) -> None:
        if reason != waiting.told:
            log.warning("! %s: waiting in the journal, %d so far: %s", mailbox, len(waiting.tasks), reason)
            waiting.told = reason
        waiting.due = self._monotonic() + pause
        self._waiting[mailbox] = waiting

    def _appended(self, entry: Entry) -> None:
        self.unmarked.append(entry)
        self.dirty.setdefault(entry.mailbox, []).append(entry)

    def _rendering(self, entry: Entry) -> Rendering:
        fresh = self._fresh.get(entry.number)
        return fresh if fresh is not None else Rendering(self._journal, self._journal.message(entry.number))

    def _settle(self, handle: Handle, tasks: deque[Task], most: int) -> int:
        """Make the first task's entry be in the mailbox, once, and up to `most` with it; gives how many are."""
        task = tasks[0]
        if task.doubt is not Doubt.NOTHING and not self._mend(handle, task):
            return 1
        size, lead = end_of(handle)
        if (size, lead) != (task.entry.start, task.entry.lead):
            self._move(tasks, size, lead, most)
        run = [tasks[0].entry]
        pieces = self._rendering(run[0]).pieces(run[0])
        if most > 1 and task.doubt is Doubt.NOTHING:
            run += _behind(run[0], islice(tasks, 1, most))
            rest = (self._rendering(entry).pieces(entry) for entry in run[1:])
            pieces = together(chain(pieces, chain.from_iterable(rest)))
        try:
            append(handle, run[0].start, pieces)
        except BaseException:
            for index, entry in enumerate(run):
                tasks[index] = Task(entry, Doubt.PART)
            raise
        return len(run)

    def _mend(self, handle: Handle, task: Task) -> bool:
        """Look for an entry in doubt, and put it right where it is; true where it is to be appended."""
        rendering = self._rendering(task.entry)
        evidence = examine(
            handle,
            task.entry,
            lambda: rendering.pieces(task.entry),
            rendering.mark(),
            power_lost=task.doubt is not Doubt.PART,
        )
        mend = _MENDS[evidence][task.doubt is Doubt.UNSYNCED]
        if mend is _Mend.REWRITE:
            overwrite(handle, task.entry.start, rendering.pieces(task.entry))
        if mend is _Mend.APPEND:
            self.counts.appended += 1
            return True
        self.counts.completed += evidence is Evidence.TORN
        self.counts.whole += evidence is not Evidence.TORN
        return False

    def _move(self, tasks: deque[Task], size: int, lead: int, most: int) -> None:
        """Correct the plan: the first task's entry goes to the file's end, and those not written yet behind it.

        :param most: how many are written now; the places of others are corrected when it is their turn.
        """
        moved = []
        for index, task in enumerate(islice(tasks, most)):
            if index and task.doubt is not Doubt.NOTHING:
                break
            entry = task.entry
            moved.append(replace(entry, start=size, lead=lead, length=entry.length - entry.lead + lead))
            size, lead = size + moved[-1].length, 0
        with self._journal.transaction():
            self._journal.move(moved)
        for index, entry in enumerate(moved):
            tasks[index] = replace(tasks[index], entry=entry)


def _behind(entry: Entry, tasks: Iterable[Task]) -> Iterator[Entry]:
    """The entries that are to stand right behind one, each behind the one before, and of which none is in doubt."""
    for task in tasks:
        if task.doubt is not Doubt.NOTHING or (task.entry.start, task.entry.lead) != (entry.start + entry.length, 0):
            return
        entry = task.entry
        yield entry
