"""A journal and a folder of mailboxes in memory that remember every step: crashes can be rebuilt from them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from mailbox_store.journal.journal import Forgotten, HeldEntry, HeldMessage, Journal, JournalError, Pending, Place
from mailbox_store.mailboxes.files import Files
from mailbox_store.metrics import Totals
from mailbox_store.store import Store
from mailbox_store.users.directory import Directory, Unlisted, Users, UsersSource
from mailbox_store.users.parsing import parse_users
from runtime.telling import EventLog
from wire.messages import Ask, Check, Lookup
from wire.outcomes import Said
from wire.records import replace

NOW = 1_795_417_555_000  # Mon Nov 23 07:05:55 2026


@dataclass
class State:
    """What a journal holds; its values are never changed in place."""

    # The number and time of each delivery that is known, those that are held included.
    ledger: dict[str, tuple[int, int]] = field(default_factory=dict)
    messages: dict[int, HeldMessage] = field(default_factory=dict)
    entries: dict[tuple[int, int], Pending] = field(default_factory=dict)
    pieces: dict[str, dict[int, tuple[bytes, int]]] = field(default_factory=dict)
    boot: str = ""
    next: int = 1

    def copy(self) -> State:
        pieces = {delivery: dict(each) for delivery, each in self.pieces.items()}
        return State(dict(self.ledger), dict(self.messages), dict(self.entries), pieces, self.boot, self.next)


class MemoryJournal:
    """See `mailbox_store.journal.journal.Journal`; `on_commit` sees each state that is on disk."""

    def __init__(self, state: State | None = None, on_commit: Callable[[State], None] = lambda _: None) -> None:
        self.state = state.copy() if state else State()
        self.fail: Callable[[], None] = lambda: None
        self.closed = False
        self._on_commit = on_commit
        self._inside = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        assert not self._inside
        before, self._inside = self.state.copy(), True
        try:
            yield
            self.fail()
        except BaseException:
            self.state = before
            raise
        finally:
            self._inside = False
        self._on_commit(self.state.copy())

    def known(self, delivery: str) -> bool:
        return delivery in self.state.ledger

    def add(self, message: HeldMessage, places: Sequence[Place]) -> list[HeldEntry]:
        self._changes()
        assert message.delivery not in self.state.ledger
        number, self.state.next = self.state.next, self.state.next + 1
        entries = [HeldEntry(number, rank, p.mailbox, p.start, p.lead, p.length) for rank, p in enumerate(places)]
        self.state.ledger[message.delivery] = (number, message.time)
        self.state.messages[number] = message
        self.state.entries |= {(number, entry.rank): Pending(entry, False) for entry in entries}
        return entries

    def message(self, number: int) -> HeldMessage:
        try:
            return self.state.messages[number]
        except KeyError:
            raise JournalError(f"no message {number}") from None

    def received(self, number: int) -> int | None:
        message = self.state.messages.get(number)
        return message.time if message else None

    def pieces(self, message: HeldMessage) -> Iterator[bytes]:
        if message.staged:
            for _, (data, _) in sorted(self.state.pieces[message.delivery].items()):
                yield data
        yield message.data

    def stage(self, delivery: str, offset: int, data: bytes, now: int) -> int:
        self._changes()
        pieces = self.state.pieces.setdefault(delivery, {})
        pieces.setdefault(offset, (data, now))
        return sum(len(piece) for piece, _ in pieces.values())

    def extents(self, delivery: str) -> list[tuple[int, int]]:
        return sorted((offset, len(data)) for offset, (data, _) in self.state.pieces.get(delivery, {}).items())

    def discard(self, delivery: str) -> None:
        self._changes()
        self.state.pieces.pop(delivery, None)

    def move(self, entries: Sequence[HeldEntry]) -> None:
        self._changes()
        for entry in entries:
            key = (entry.number, entry.rank)
            self.state.entries[key] = replace(self.state.entries[key], entry=entry)

    def set_appended(self, entries: Iterable[HeldEntry]) -> None:
        self._changes()
        for entry in entries:
            key = (entry.number, entry.rank)
            if key in self.state.entries:
                self.state.entries[key] = replace(self.state.entries[key], appended=True)

    def forget(self, done: Forgotten) -> None:
        self._changes()
        for entry in done.entries:
            self.state.entries.pop((entry.number, entry.rank), None)
        for number in done.messages:
            message = self.state.messages.pop(number)
            if message.staged:
                self.state.pieces.pop(message.delivery, None)

    def pending(self) -> list[Pending]:
        return sorted(self.state.entries.values(), key=lambda each: (each.entry.mailbox, each.entry.number))

    def prune(self, before: int, after: int, limit: int) -> int:
        self._changes()
        ids = [(number, time, delivery) for delivery, (number, time) in self.state.ledger.items()]
        oldest = sorted(each for each in ids if each[0] not in self.state.messages)[:limit]
        gone = [delivery for _, time, delivery in oldest if time < before or time > after]
        for delivery in gone:
            del self.state.ledger[delivery]
        return len(gone)

    def drop_stale(self, before: int) -> int:
        self._changes()
        held = {message.delivery for message in self.state.messages.values()}
        stale = [
            delivery
            for delivery, pieces in self.state.pieces.items()
            if delivery not in held and max(kept for _, kept in pieces.values()) < before
        ]
        for delivery in stale:
            del self.state.pieces[delivery]
        return len(stale)

    def boot(self) -> str:
        return self.state.boot

    def set_boot(self, boot: str) -> None:
        self._changes()
        self.state.boot = boot
        for key, pending in self.state.entries.items():
            self.state.entries[key] = replace(pending, appended=False)

    def has_room(self) -> bool:
        return True

    def maintain(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def _changes(self) -> None:
        assert self._inside, "a change outside of a transaction"


Operation = tuple[Any, ...]


class MemoryHandle:
    """See `mailbox_store.mailboxes.files.Handle`."""

    def __init__(self, files: MemoryFiles, name: str) -> None:
        self._files, self._name = files, name
        self._held = files.content[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._files.before("close", self._name)

    def lock(self) -> bool:
        self._files.before("lock", self._name)
        return self._name not in self._files.locked

    def stands(self) -> bool:
        return self._files.content.get(self._name) is self._held

    def size(self) -> int:
        return len(self._held)

    def read(self, offset: int, count: int) -> bytes:
        return bytes(self._held[offset : offset + count])

    def append(self, data: bytes | memoryview) -> int:
        return self.write_at(self.size(), data, "append")

    def write_at(self, offset: int, data: bytes | memoryview, kind: str = "write_at") -> int:
        room = self._files.room
        if room is not None:
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            data = data[:room]
            self._files.room = room - len(data)
        self._files.before(kind, self._name)
        self._do(("write", self._name, offset, bytes(data)))
        return len(data)

    def truncate(self, size: int) -> None:
        self._files.before("truncate", self._name)
        self._do(("truncate", self._name, size))

    def _do(self, operation: Operation) -> None:
        if self.stands():
            self._files.do(operation)
        else:
            # To a file that no name stands for any more.
            apply({self._name: self._held}, operation)


class MemoryFiles:
    """See `mailboxes.files.Files`. `before` may raise; `log` has every operation that changes the disk."""

    def __init__(self, content: dict[str, bytes] | None = None, log: list[Operation] | None = None) -> None:
        self.content = {name: bytearray(data) for name, data in (content or {}).items()}
        self.log = log if log is not None else []
        self.locked: set[str] = set()
        self.free = 10**9
        # Octets that can still be written before the disk is full; None: no end.
        self.room: int | None = None
        self.before: Callable[[str, str], None] = lambda _operation, _name: None

    def open(self, mailbox: str) -> MemoryHandle:
        self.before("open", mailbox)
        if mailbox not in self.content:
            self.do(("create", mailbox))
        return MemoryHandle(self, mailbox)

    def look(self, mailbox: str, *, make: bool) -> None:
        self.before("look", mailbox)
        if make and mailbox not in self.content:
            self.do(("create", mailbox))

    def missing(self, mailboxes: Iterable[str]) -> list[str]:
        return [mailbox for mailbox in mailboxes if mailbox not in self.content]

    def names(self) -> list[str]:
        return list(self.content)

    def create(self, mailboxes: Iterable[str]) -> None:
        for mailbox in mailboxes:
            if mailbox not in self.content:
                self.do(("create", mailbox))
        self.sync_folder()

    def sync(self, mailbox: str) -> None:
        self.before("sync", mailbox)
        if mailbox in self.content:
            self.do(("sync", mailbox))

    def sync_folder(self) -> None:
        self.before("sync_folder", "")
        self.do(("sync_folder",))

    def free_space(self) -> int:
        return self.free

    def do(self, operation: Operation) -> None:
        apply(self.content, operation)
        self.log.append(operation)


def apply(content: dict[str, bytearray], operation: Operation) -> None:
    """Do to files what a recorded operation did."""
    match operation:
        case ("create", name):
            content[name] = bytearray()
        case ("write", name, offset, data):
            held = content[name]
            held.extend(bytes(max(0, offset - len(held))))
            held[offset : offset + len(data)] = data
        case ("edit", name, data):
            # A user's own doing, on disk at once.
            content[name].extend(data)
        case ("truncate", name, size):
            del content[name][size:]


class InlineExecutor(Executor):
    """Does at once, in the caller's thread, what it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class HeldExecutor(Executor):
    """Keeps what it is given until it is told to do it."""

    def __init__(self) -> None:
        self._held: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._held.append(lambda: future.set_result(fn(*args, **kwargs)))
        return future

    def run(self) -> None:
        held, self._held = self._held, []
        for each in held:
            each()


class FixedUsers:
    """A list of users that does not change."""

    def __init__(self, *addresses: str) -> None:
        self.current: Users = parse_users("\n".join(addresses).encode(), "users.txt", "home.example")

    def knows(self, mailbox: str) -> bool:
        return mailbox in self.current.names


class AskedStore(Store):
    """A store that is asked questions of all kinds, as the service asks it."""

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
        events: EventLog | None = None,
    ) -> None:
        totals = totals or Totals()
        self.directory = Directory(files, users, totals, unlisted)
        super().__init__(journal, files, self.directory, executor, clock, monotonic, totals, events)

    def answer(self, asks: Sequence[Ask]) -> list[Said]:
        """One outcome for each question, in order."""
        said = {ask: self.directory.answer(ask.question) for ask in asks if isinstance(ask.question, Lookup | Check)}
        writes = [ask for ask in asks if ask not in said]
        given = iter(self.write(writes) if writes else ())
        return [said[ask] if ask in said else next(given) for ask in asks]


class Clock:
    """A monotonic clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
