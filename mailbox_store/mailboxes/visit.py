"""One visit to a mailbox that entries wait for: from opening to closing it, under the kernel's lock, in portions.

First a visit looks for all entries in doubt, in one pass, and puts right what is there of them. Then it appends a few
of the missing ones, in order, or one large one, and ends. It ends early because entries stay in doubt until the
journal has been told of them: if the process is killed before that, an entry that its user removes meanwhile would
come again.

Between two portions the store does something else, and keeps the lock: a program that asks for the lock never sees
half an entry. A program that does not ask may have changed the file meanwhile. Each write checks for that, and is
tried again if it finds a change.

If the file does not end where the plan says, the plan is corrected in the journal first, by a commit of its own. So
whatever is cut short, the journal knows where every octet of the store's was to go.

Gives: `Visit`, with what became of the entries; `ToAppend` and `Doubt`, what waits.
Fails: never. `trouble` says why the rest waits, and every entry is among those that wait or those that are done.
Limits: one visit looks at all entries in doubt, and appends `_ENTRIES` or `_OCTETS`, or a single one.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import chain, islice, takewhile

from mailbox_store.journal.journal import HeldEntry, Journal, JournalError
from mailbox_store.mailboxes.evidence import Evidence, compare, follows, search
from mailbox_store.mailboxes.files import Files, Handle
from mailbox_store.mailboxes.rendering import Rendering
from mailbox_store.mailboxes.writing import REPLACED, append, end_of, overwrite, together
from wire.records import Record, replace

# Entries that are rendered for one visit, some 10 ms of it.
_ENTRIES = 500
_OCTETS = 1024 * 1024
# How far before its place an entry is looked for where the file ends at that place.
_NEAR = 256 * 1024

LOCKED = "another program holds its lock"


class Doubt(enum.Enum):
    """What may be in the file of an entry that is to be appended."""

    NOTHING = enum.auto()  # not an octet
    PART = enum.auto()  # a beginning, left by a process that was killed or by an error
    ANY = enum.auto()  # whatever a loss of power leaves, or a close that has failed
    # All of it, unless its user has removed it. But the kernel could perhaps not bring it to the disk, and has
    # forgotten that: it tells a failed sync once, and the next sync has nothing to do.
    UNSYNCED = enum.auto()


class ToAppend(Record):
    """An entry to append."""

    entry: HeldEntry
    doubt: Doubt = Doubt.NOTHING

    def tried(self) -> ToAppend:
        """The same after a try of which nobody knows what is left. Of one that was there once, that stays known."""
        return replace(self, doubt=Doubt.PART) if self.doubt is Doubt.NOTHING else self


@dataclass(slots=True)
class Settled:
    """What became of entries that were in doubt."""

    whole: int = 0
    completed: int = 0
    appended: int = 0


class Visit:
    """See the module's text.

    :param tasks: what waits for the mailbox, those in doubt first. What is done is taken from it; others may add to
        its end meanwhile.
    :param rendering: gives the rendering of the message of that number.
    :param alone: each entry is appended by itself: where there is no room for all, there may be for some.
    """

    def __init__(
        self,
        mailbox: str,
        tasks: deque[ToAppend],
        files: Files,
        journal: Journal,
        rendering: Callable[[int], Rendering],
        settled: Settled,
        *,
        alone: bool = False,
    ) -> None:
        self.mailbox = mailbox
        # What the mailbox has, or has had and its user has removed.
        self.done: list[HeldEntry] = []
        # Why it ended before its time, if it did, and whether that was the close.
        self.trouble = ""
        self.close_failed = False
        self._tasks = tasks
        self._files = files
        self._journal = journal
        self._rendering = rendering
        self._settled = settled
        self._alone = alone
        self._did: list[ToAppend] = []
        # Those that were written to, by their place in `_did`.
        self._wrote: set[int] = set()
        # So many tasks in doubt are known not to be in this file.
        self._missing = 0

    def portions(self) -> Generator[int, None, None]:
        """The visit; gives the octets of each portion, read or written. Closing the generator ends it."""
        handle: Handle | None = None
        try:
            with self._files.open(self.mailbox) as handle:
                try:
                    yield from self._inside(handle)
                except (OSError, JournalError) as error:
                    self.trouble = str(error)
                finally:
                    self._look_back(handle)
        except OSError as error:
            self.trouble = str(error)
            if handle is not None:
                self._not_kept()
        finally:
            self.done += [task.entry for task in self._did]

    def _inside(self, handle: Handle) -> Generator[int, None, None]:
        if not handle.lock():
            self.trouble = LOCKED
        elif handle.stands():
            yield from self._settle(handle)
            if self._tasks:
                yield from self._append(handle)

    def _look_back(self, handle: Handle) -> None:
        """Was it the mailbox until now? What was done to a file that is the mailbox no more is to do again."""
        try:
            stands = handle.stands()
        except OSError as error:
            stands, self.trouble = False, str(error)
        if not stands:
            # What replaced it may have been made before these were appended, or after.
            for index in range(self._missing):
                self._tasks[index] = self._tasks[index].tried()
            self._again([task.tried() for task in self._did])
            self.trouble = self.trouble or REPLACED

    def _not_kept(self) -> None:
        """The close failed: what was written may be there, or lost, and nobody will be told again."""
        self.close_failed = True
        for index, task in enumerate(list(_in_doubt(self._tasks))):
            if task.doubt is Doubt.PART:
                self._tasks[index] = replace(task, doubt=Doubt.ANY)
        wrote = [replace(task, doubt=Doubt.ANY) for index, task in enumerate(self._did) if index in self._wrote]
        self._did = [task for index, task in enumerate(self._did) if index not in self._wrote]
        self._tasks.extendleft(reversed(wrote))

    def _again(self, tasks: list[ToAppend]) -> None:
        self._tasks.extendleft(reversed(tasks))
        self._did.clear()
        self._wrote.clear()

    # ------------------------------------------------------------ entries in doubt

    def _settle(self, handle: Handle) -> Generator[int, None, None]:
        """Look for all entries in doubt, and put right what is there. What is missing stays, as `_missing`."""
        doubtful = sum(1 for _ in _in_doubt(self._tasks))
        if not doubtful:
            return
        size = handle.size()
        found = yield from self._look_for(handle, list(islice(self._tasks, doubtful)), size)
        if handle.size() != size or not handle.lock():
            raise OSError(LOCKED if handle.size() == size else "another program has written to it meanwhile")
        missing: list[ToAppend] = []
        try:
            for evidence in found:
                task = self._tasks[0]
                if evidence is Evidence.ABSENT and task.doubt is not Doubt.UNSYNCED:
                    missing.append(task)
                else:
                    yield from self._put_right(handle, task, evidence)
                self._tasks.popleft()
        except BaseException:
            self._tasks.extendleft(reversed(missing))
            raise
        # Nothing of them is in the file: that holds even where this ends before their turn has come.
        self._tasks.extendleft(replace(task, doubt=Doubt.NOTHING) for task in reversed(missing))
        # Not those that were looked for before, and could not be appended then.
        self._settled.appended += sum(task.doubt is Doubt.ANY for task in missing)
        self._missing = len(missing)

    def _put_right(self, handle: Handle, task: ToAppend, evidence: Evidence) -> Generator[int, None, None]:
        """Have an entry be there whole, unless its user has moved or removed it."""
        if evidence in (Evidence.WHOLE, Evidence.TORN):
            # What can be read of it need not be on the disk.
            self._wrote.add(len(self._did))
            yield from overwrite(handle, task.entry.start, self._pieces(task))
        self._did.append(task)
        if evidence is Evidence.TORN:
            self._settled.completed += 1
        else:
            self._settled.whole += 1

    def _look_for(self, handle: Handle, tasks: list[ToAppend], size: int) -> Generator[int, None, list[Evidence]]:
        """What the mailbox has of each entry."""
        at_place: list[Evidence | None] = []
        # Where the file ends once those before are put right, and from where on to look for those not at their place.
        end, start = size, size
        for task in tasks:
            entry, there = task.entry, None
            if entry.start < size:
                there = yield from compare(
                    handle, entry.start, self._pieces(task), holes=task.doubt is not Doubt.PART
                )
            at_place.append(there)
            if there is not None:
                end = max(end, entry.start + entry.length)
            elif entry.start == end:
                # Never written, as a rule. But its user may have removed as many octets before it.
                end += entry.length
                start = min(start, max(0, size - (end - size) - _NEAR))
            else:
                start = 0
        missing = [task.entry for task, there in zip(tasks, at_place, strict=True) if there is None]
        elsewhere = yield from self._search(handle, start, missing)
        others = (Evidence.ELSEWHERE if task.entry.number in elsewhere else Evidence.ABSENT for task in tasks)
        return [there or other for there, other in zip(at_place, others, strict=True)]

    def _search(self, handle: Handle, start: int, entries: list[HeldEntry]) -> Generator[int, None, set[int]]:
        """The messages among those of the entries that are in the mailbox behind `start`."""
        marks: dict[bytes, HeldEntry] = {}
        for entry in entries:
            if mark := self._rendering(entry.number).mark():
                marks[mark] = entry
            yield len(mark)

        def matches(mark: bytes, place: int) -> Generator[int, None, bool]:
            entry = marks[mark]
            return (yield from follows(handle, place, mark, self._rendering(entry.number).pieces(entry)))

        found = yield from search(handle, start, marks, matches)
        return {marks[mark].number for mark in found}

    # ------------------------------------------------------------ appending

    def _append(self, handle: Handle) -> Generator[int, None, None]:
        """Append the next entries."""
        count = self._plan(handle)
        at_once = 1 if self._alone else count
        for _ in range(0, count, at_once):
            yield from self._write(handle, list(islice(self._tasks, at_once)))

    def _write(self, handle: Handle, run: list[ToAppend]) -> Generator[int, None, None]:
        """Append the first tasks' entries together."""
        pieces = chain.from_iterable(map(self._pieces, run))
        try:
            yield from append(handle, run[0].entry.start, together(pieces))
        except BaseException:
            for index, task in enumerate(run):
                self._tasks[index] = task.tried()
            raise
        for task in run:
            self._wrote.add(len(self._did))
            self._did.append(task)
            self._tasks.popleft()
        self._missing = max(0, self._missing - len(run))

    def _pieces(self, task: ToAppend) -> Iterator[bytes]:
        return self._rendering(task.entry.number).pieces(task.entry)

    def _plan(self, handle: Handle) -> int:
        """How many are next. Those whose place is another one than was planned get it in the journal first."""
        size, lead = end_of(handle)
        moved: dict[int, HeldEntry] = {}
        octets = count = 0
        for count, task in enumerate(islice(self._tasks, _ENTRIES)):
            entry = task.entry
            if count and octets + entry.length > _OCTETS:
                break
            if (entry.start, entry.lead) != (size, lead):
                entry = replace(entry, start=size, lead=lead, length=entry.length - entry.lead + lead)
                moved[count] = entry
            octets += entry.length
            size, lead = size + entry.length, 0
        else:
            count += 1
        if moved:
            with self._journal.transaction():
                self._journal.move(list(moved.values()))
            for index, entry in moved.items():
                self._tasks[index] = replace(self._tasks[index], entry=entry)
        return count


def _in_doubt(tasks: deque[ToAppend]) -> Iterator[ToAppend]:
    return takewhile(lambda task: task.doubt is not Doubt.NOTHING, tasks)
