"""Failed syncs, closes and writes, at any point, then a kill, then a loss of power: on the real journal and files.

What was acknowledged is in each of its mailboxes once; what was refused is nowhere; what nobody was told about is in
all of its mailboxes once, or in none. SQLite is not trusted: `page_cache.py` sees what it does, and decides what of
that is on the disk.

`make test` tries some hundred cases; `make test-long` many more, and others each time: it prints the seed, which
CORREIO_SEED takes.
"""

from __future__ import annotations

import copy
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailbox_store.journal.durable import make_folder
from mailbox_store.journal.journal import JournalError
from mailbox_store.journal.sqlite_journal import SqliteJournal
from mailbox_store.mailboxes.files import DiskFiles
from tests.mailbox_store.fakes import NOW, AskedStore, Clock, FixedUsers, InlineExecutor
from tests.mailbox_store.page_cache import PageCache, State, put_back
from wire.messages import Ask, Deliver, Stage
from wire.outcomes import Delivered, Failed

ALICE, BOB, CAROL = "alice@a.example", "bob@a.example", "carol@a.example"
USERS = FixedUsers(ALICE, BOB, CAROL)
# Texts of so many octets are beside the database here, so that short mails have theirs there.
_LARGE = 1000
_LONG = b"0123456789abcdef\n" * 400
# Of each mail its recipients, its text, and how many octets of that are staged.
MAILS = {
    "s1.1": ((ALICE, BOB), b"one\n", 0),
    "s1.2": ((ALICE,), b"x" * 6000, 0),
    "s2.1": ((CAROL,), b"", 0),
    "s3.1": ((BOB, CAROL), _LONG, 5000),
    "s4.1": ((ALICE, CAROL), b"four\n" * 30, 0),
    "s5.1": ((BOB,), _LONG, 0),
    # Of the run after that.
    "t1.1": ((ALICE, BOB, CAROL), b"next\n", 0),
    "t2.1": ((ALICE,), _LONG, 0),
    "t3.1": ((BOB,), b"last\n", 0),
}


@dataclass
class Told:
    """What clients have been told: "it is safe", or that nothing was stored."""

    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


@dataclass
class Moment:
    """What a kill leaves."""

    state: State
    told: Told


class Process:
    """One run of the store in a folder, until it ends or cannot begin."""

    def __init__(self, root: Path, told: Told, after_telling: Callable[[], None] = lambda: None) -> None:
        self._root = root
        self._told = told
        self._after_telling = after_telling
        self._clock = Clock()

    def run(self, boot: str, work: Callable[[Process], None]) -> None:
        try:
            for name in ("mail", "journal"):
                make_folder(self._root / name, 0o700)
            journal = SqliteJournal(self._root / "journal" / "db", large=_LARGE, full=9000)
        except (OSError, JournalError):
            return
        files = DiskFiles(self._root / "mail")
        self._store = AskedStore(journal, files, USERS, InlineExecutor(), lambda: NOW, self._clock)
        try:
            self._store.recover(boot)
            work(self)
            self._store.close()
        except JournalError:
            pass
        finally:
            # The process is gone; what that does to its files, nobody looks at any more.
            for connection in (journal._db, journal._database._caretaker):
                if connection is not None:
                    connection.close()

    def deliver(self, *deliveries: str) -> None:
        asks = []
        for delivery in deliveries:
            to, text, staged = MAILS[delivery]
            text = f"Subject: {delivery}\n\n".encode() + text
            if staged:
                self._store.answer([Ask(1, NOW + 1000, Stage(delivery, 0, text[:staged]))])
            trace = f"Received: from a by b with SMTP id {delivery}; date\n".encode()
            asks.append(Ask(1, NOW + 1000, Deliver(delivery, NOW, "s@b.example", to, trace, staged, text[staged:])))
        for delivery, outcome in zip(deliveries, self._store.answer(asks), strict=True):
            assert isinstance(outcome, Delivered | Failed)
            (self._told.acknowledged if isinstance(outcome, Delivered) else self._told.refused).add(delivery)
        self._after_telling()

    def wait(self, seconds: float) -> None:
        self._clock.now += seconds
        self._store.tick()


def _first(process: Process) -> None:
    process.deliver("s1.1", "s1.2")
    process.wait(0.05)
    process.deliver("s2.1")
    process.wait(1.1)
    process.deliver("s3.1")
    process.wait(0.1)
    process.wait(1.1)
    process.deliver("s4.1")
    process.wait(2)
    process.wait(2)
    process.deliver("s5.1")


def _next(process: Process) -> None:
    process.deliver("t1.1")
    process.wait(1.1)
    process.deliver("t2.1")
    process.wait(0.05)
    process.wait(6)
    process.deliver("t3.1")


def _check(root: Path, told: Told, *, excused: bool) -> None:
    """Look into the mailboxes.

    :param excused: whether the disk has failed so often that what was refused may be there.
    """
    texts = {path.stem: path.read_bytes() for path in (root / "mail").iterdir()}
    for delivery, (to, text, _) in MAILS.items():
        whole = f" id {delivery}; date\nSubject: {delivery}\n\n".encode() + text
        found = {name: held.count(f" id {delivery};".encode()) for name, held in texts.items()}
        assert {name: held.count(whole) for name, held in texts.items()} == found, f"{delivery} is torn"
        everywhere = {name: int(name in to) for name in texts}
        if delivery in told.acknowledged:
            assert set(to) <= set(texts), f"{delivery} was acknowledged"
            assert found == everywhere, f"{delivery} was acknowledged"
        elif delivery in told.refused and not excused:
            assert not any(found.values()), f"{delivery} was refused"
        else:
            assert not any(found.values()) or found == everywhere, delivery


class _Fault:
    """Errors of the disk, one after another, from one of the steps on that can fail."""

    # What a sync may be of; each is as likely as the others, however often it is synced.
    _KINDS = ("db-wal", "db", "db.texts", "db.texts/", "mail/", "mail/", "mail", "journal", "")

    def __init__(self, errors: int, dice: random.Random) -> None:
        # The step of the first one.
        self.began = 0
        self.told = False
        self._left = errors
        self._what = dice.choice(("sync", "sync", "write", "close"))
        self._kind = dice.choice(self._KINDS)
        self._wait = dice.choice((0, 0, 1, 2, 3, 5, 8))

    def strikes(self, what: str, name: str, step: int) -> bool:
        """Does it fail, what is done with that file in that step?"""
        if what != self._what:
            return False
        if not self.began:
            if not (self._kind in name if self._kind.endswith("/") else name.endswith(self._kind)):
                return False
            self._wait -= 1
            if self._wait >= 0:
                return False
        if not self._left:
            return False
        self.began = self.began or step
        self._left -= 1
        return True


class Explorer:
    """Tries one case after another."""

    def __init__(self, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.tried = 0
        self._dice = random.Random(seed)
        self._patch = patch

    def explore(self) -> None:
        """A run with an error in it, kills after that, a second run on what each leaves, and losses of power."""
        errors = self._dice.choice((0, 1, 1, 1, 1, 2))
        for moment in self._run(State(), Told(), _first, errors):
            self._judge(moment, errors)
            again = self._dice.choice((0, 0, 1))
            for later in self._run(moment.state, moment.told, _next, again):
                self._judge(later, errors + again)

    def _run(self, state: State, told: Told, work: Callable[[Process], None], errors: int) -> list[Moment]:
        """What kills leave, at and after the first error, or somewhere where there is none."""
        told = copy.deepcopy(told)
        moments: list[Moment] = []
        with _folder() as root:
            put_back(state, root)
            cache = PageCache(root, self._dice, state, drops=self._dice.random() < 0.3)
            fault = _Fault(errors, self._dice)
            # A kill at once, one soon after: where what is told and what is done about it may be apart.
            due = {0, self._dice.choice((1, 2, 4, 8, 20, 60))} if errors else {self._dice.randrange(300)}

            def kill() -> None:
                moments.append(Moment(copy.deepcopy(cache.state), copy.deepcopy(told)))

            def after_step() -> None:
                if cache.steps - fault.began in due:
                    kill()

            def after_telling() -> None:
                # What was refused just now is the first to look for.
                if (fault.began or not errors) and not fault.told:
                    fault.told = True
                    kill()

            cache.fails = lambda step, name: fault.strikes(step, name, cache.steps + 1)
            cache.after = after_step
            with cache.watched(self._patch):
                Process(root, told, after_telling).run("boot", work)
            kill()
        return moments

    def _judge(self, moment: Moment, errors: int) -> None:
        self._start(moment.state, moment.told, "boot", excused=False)
        # A second error may have hit what was done about the first.
        cut = moment.state.after_power_cut(self._dice)
        self._start(cut, moment.told, "boot after", excused=errors > 1)

    def _start(self, state: State, told: Told, boot: str, *, excused: bool) -> None:
        """Start the store once more, on a disk that does not fail, and look into the mailboxes."""
        with _folder() as root:
            put_back(state, root)
            with PageCache(root, self._dice, state).watched(self._patch):
                Process(root, Told()).run(boot, lambda process: process.wait(6))
            _check(root, told, excused=excused)
        self.tried += 1


@contextmanager
def _folder() -> Iterator[Path]:
    # In memory where that can be had: no file here has to outlive anything.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="correio-", dir=memory) as name:
        yield Path(name)


def _explore(seed: int, cases: int, patch: pytest.MonkeyPatch) -> int:
    explorer = Explorer(seed, patch)
    for case in range(cases):
        try:
            explorer.explore()
        except AssertionError as error:
            error.add_note(f"seed {seed}, case {case}")
            raise
    return explorer.tried


def test_no_error_of_the_disk_costs_what_was_acknowledged_or_brings_back_what_was_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = _explore(1, 20, monkeypatch)
    with capsys.disabled():
        print(f"\n{tried} crashes after errors of the disk recovered", end=" ")
    assert tried > 80


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_same_with_many_more(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("CORREIO_SEED") or random.randrange(10**6))
    with capsys.disabled():
        print(f"\nCORREIO_SEED={seed}", end=" ", flush=True)
        print(f"{_explore(seed, 500, monkeypatch)} crashes after errors of the disk recovered", end=" ")
