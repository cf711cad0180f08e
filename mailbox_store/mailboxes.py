"""The mailboxes: planning where an entry goes, and putting it there.

An entry is planned before the journal's commit and appended after it, under the kernel's lock. Between the two a
user may have changed the file; then the plan is corrected in the journal first, by a commit of its own. So whatever
is cut short, the journal knows where every octet of the store's was to go.

A mailbox that is locked by a reader, is replaced by one at that moment or gives an error keeps its entries waiting
here (places only, no text), in order, and is tried again: every `_LOCK_RETRY` for a reader, with growing pauses for
errors. The delivery stands, for the journal has it.

Fails: `Plan.place` with OSError where a mailbox cannot be written. Appending does not fail; it waits.
Limits: a waiting entry costs some 200 octets.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, islice

from mailbox_store.evidence import Evidence, examine
from mailbox_store.files import Files, Handle
from mailbox_store.journal import Entry, Journal, JournalError, Place
from mailbox_store.mbox import newlines_before
from mailbox_store.rendering import Rendering
from wire.records import Record, replace

log = logging.getLogger(__name__)

# A mail reader holds its lock for the time of a rewrite; a person does not notice this.
_LOCK_RETRY = 0.05
# Entries of one mailbox that are caught up in one go, some 10 ms of it: others wait for their answers meanwhile.
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
    Evidence.WHOLE: (_Mend.LEAVE, _Mend.REWRITE),
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


@dataclass(slots=True)
class Plan:
    """Where the entries of one transaction go. It is thrown away with the transaction."""

    mailboxes: Mailboxes
    _ends: dict[str, int] = field(default_factory=dict)

    def place(self, mailbox: str, length: int) -> Place:
        """The place of an entry of `length` octets, newlines before it not counted.

        :raises OSError: where the mailbox cannot be opened for writing.
        """
        end = self._ends.get(mailbox)
        if end is not None:
            return Place(mailbox, end, 0, length)
        return self.mailboxes.end_of(mailbox, length)

    def take(self, places: Iterable[Place]) -> None:
        """Let what is planned next stand behind these."""
        for place in places:
            self._ends[place.mailbox] = place.start + place.length


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

    def check(self, mailbox: str) -> None:
        """:raises OSError: where the mailbox cannot be opened for writing."""
        with self._files.open(mailbox):
            pass

    def end_of(self, mailbox: str, length: int) -> Place:
        """The place of an entry behind all that the mailbox has and will have."""
        with self._files.open(mailbox) as handle:
            waiting = self._waiting.get(mailbox)
            if waiting is not None:
                last = waiting.tasks[-1].entry
                return Place(mailbox, last.start + last.length, 0, length)
            size, lead = _end(handle)
            return Place(mailbox, size, lead, length + lead)

    def append(self, batch: Iterable[tuple[Rendering, list[Entry]]]) -> None:
        """Put committed entries into their mailboxes, or have them wait."""
        tasks: dict[str, deque[Task]] = {}
        for rendering, entries in batch:
            for entry in entries:
                self._fresh[entry.number] = rendering
                tasks.setdefault(entry.mailbox, deque()).append(Task(entry))
        for mailbox, queue in tasks.items():
            self.serve(mailbox, queue)
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

    def _work(self, mailbox: str, waiting: Waiting, most: int | None = None) -> None:
        """Append what waits, up to `most` entries of it."""
        try:
            with self._files.open(mailbox) as handle:
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
            for _ in range(len(tasks) if most is None else min(most, len(tasks))):
                self._settle(handle, tasks, most)
                done.append(tasks.popleft().entry)
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
            log.warning("! %s: %d entries wait in the journal: %s", mailbox, len(waiting.tasks), reason)
            waiting.told = reason
        waiting.due = self._monotonic() + pause
        self._waiting[mailbox] = waiting

    def _appended(self, entry: Entry) -> None:
        self.unmarked.append(entry)
        self.dirty.setdefault(entry.mailbox, []).append(entry)

    def _rendering(self, entry: Entry) -> Rendering:
        fresh = self._fresh.get(entry.number)
        return fresh if fresh is not None else Rendering(self._journal, self._journal.message(entry.number))

    def _settle(self, handle: Handle, tasks: deque[Task], most: int | None) -> None:
        """Make the first task's entry be in the mailbox, once."""
        task = tasks[0]
        rendering = self._rendering(task.entry)
        if task.doubt is not Doubt.NOTHING:
            evidence = examine(
                handle,
                task.entry,
                lambda: rendering.pieces(task.entry),
                rendering.mark(),
                power_lost=task.doubt is not Doubt.PART,
            )
            mend = _MENDS[evidence][task.doubt is Doubt.UNSYNCED]
            if mend is _Mend.REWRITE:
                _overwrite(handle, task.entry, rendering)
            if mend is not _Mend.APPEND:
                self.counts.completed += evidence is Evidence.TORN
                self.counts.whole += evidence is not Evidence.TORN
                return
            self.counts.appended += 1
        size, lead = _end(handle)
        if (size, lead) != (task.entry.start, task.entry.lead):
            self._move(tasks, size, lead, most)
        try:
            _append(handle, tasks[0].entry, rendering)
        except BaseException:
            tasks[0] = Task(tasks[0].entry, Doubt.PART)
            raise

    def _move(self, tasks: deque[Task], size: int, lead: int, most: int | None) -> None:
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


def _end(handle: Handle) -> tuple[int, int]:
    """The size of a mailbox, and how many newlines an entry there begins with."""
    size = handle.size()
    return size, newlines_before(handle.read(max(0, size - 2), 2))


def _append(handle: Handle, entry: Entry, rendering: Rendering) -> None:
    """Write an entry at the end of its mailbox, or, failing that, nothing."""
    written = 0
    try:
        for piece in rendering.pieces(entry):
            rest = memoryview(piece)
            while rest:
                count = handle.append(rest)
                written += count
                rest = rest[count:]
    except BaseException:
        # Only if nobody has written behind it: no octet of another's is ever cut.
        if written and handle.size() == entry.start + written:
            handle.truncate(entry.start)
        raise


def _overwrite(handle: Handle, entry: Entry, rendering: Rendering) -> None:
    """Write an entry at its place, over the part of it that is there."""
    place = entry.start
    for piece in rendering.pieces(entry):
        rest = memoryview(piece)
        while rest:
            count = handle.write_at(place, rest)
            place += count
            rest = rest[count:]
