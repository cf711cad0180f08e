"""The journal's promises: whatever is done to it, SQLite's does as the one in memory does, through any crash."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailbox_store.journal.journal import Forgotten, HeldMessage, Journal, JournalError, Pending, Place
from mailbox_store.journal.sqlite_journal import SqliteJournal
from tests.mailbox_store.fakes import MemoryJournal
from wire.records import replace

NAMES = ["a.1", "a.2", "b.1", "c.1"]
IDS = st.sampled_from(NAMES)
BOXES = st.lists(st.sampled_from(["x@e", "y@e", "z@e"]), min_size=1, max_size=3, unique=True)


class _GiveUpError(Exception):
    """Leaves a transaction."""


class Disk:
    """Knows what of the text files is on disk: what had been written when a file was synced, and the folder's names.

    SQLite's own files are taken for what they are after each commit, for it keeps that promise itself.
    """

    def __init__(self) -> None:
        self._synced: dict[str, bytes] = {}
        self._names: set[str] = set()
        self._fdatasync, self._fsync = os.fdatasync, os.fsync
        self._patches = [mock.patch("os.fdatasync", self._sync_file), mock.patch("os.fsync", self._sync_folder)]
        for patch in self._patches:
            patch.start()

    def close(self) -> None:
        for patch in self._patches:
            patch.stop()

    def _sync_file(self, fd: int) -> None:
        self._fdatasync(fd)
        path = Path(f"/proc/self/fd/{fd}").readlink()
        self._synced[path.name] = path.read_bytes()

    def _sync_folder(self, fd: int) -> None:
        self._fsync(fd)
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".texts":
            self._names = set(os.listdir(fd))

    def lose_power(self, texts: Path, dice: random.Random) -> None:
        """Make of the files what may be left of them: of what was not synced each page is there, or not, or zero.

        A page that is written again has its old octets or its new ones, as SQLite takes for granted as well.
        """
        written = {path.name: path.read_bytes() for path in texts.iterdir()}
        for name in {*written, *self._names}:
            before = self._synced.get(name, b"")
            after = written.get(name, before)
            left = bytearray()
            for place in range(0, max(len(before), len(after)), 4):
                old, new = before[place : place + 4], after[place : place + 4]
                left += dice.choice([old, new, old + bytes(max(0, len(new) - len(old)))])
            (texts / name).write_bytes(left)
            if name not in self._names and dice.random() < 0.5:
                (texts / name).unlink()


def _open(path: Path) -> SqliteJournal:
    # So small that most texts are beside the database, and files are full soon.
    return SqliteJournal(path, large=4, full=16)


class Both(RuleBasedStateMachine):
    """Does everything to both journals."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "0" / "journal"
        self.path.parent.mkdir()
        self.disk = Disk()
        self.real = _open(self.path)
        self.model = MemoryJournal()
        self.now = 1000

    def _do(self, change: Callable[[Journal], Any], give_up: bool) -> None:
        results = []
        for journal in (self.real, self.model):
            with suppress(_GiveUpError), journal.transaction():
                results.append(change(journal))
                if give_up:
                    raise _GiveUpError
        assert results[0] == results[1]

    def _entries(self) -> list[Pending]:
        return self.model.pending()

    @rule(delivery=IDS, boxes=BOXES, staged=st.booleans(), data=st.binary(max_size=9), give_up=st.booleans())
    def add(self, delivery: str, boxes: list[str], staged: bool, data: bytes, give_up: bool) -> None:
        if not self.model.known(delivery):
            octets = sum(size for _, size in self.model.extents(delivery)) if staged else 0
            originals = tuple((box, f"{delivery}+{number}@e") for box in boxes for number in range(len(data) % 3))
            message = HeldMessage(delivery, self.now, "s@e", b"t\n", octets, data, originals)
            places = [Place(box, 10, 0, 20) for box in boxes]
            self._do(lambda journal: journal.add(message, places), give_up)

    @rule(delivery=IDS, offset=st.sampled_from([0, 3, 6]), data=st.binary(max_size=12), give_up=st.booleans())
    def stage(self, delivery: str, offset: int, data: bytes, give_up: bool) -> None:
        if not self.model.known(delivery):
            self._do(lambda journal: journal.stage(delivery, offset, data, self.now), give_up)

    @rule(delivery=IDS, give_up=st.booleans())
    def discard(self, delivery: str, give_up: bool) -> None:
        if not self.model.known(delivery):
            self._do(lambda journal: journal.discard(delivery), give_up)

    @rule(pick=st.integers(0, 9), give_up=st.booleans())
    def mark(self, pick: int, give_up: bool) -> None:
        entries = [pending.entry for pending in self._entries()[:pick]]
        self._do(lambda journal: journal.set_appended(entries), give_up)

    @rule(pick=st.integers(0, 9), give_up=st.booleans())
    def move(self, pick: int, give_up: bool) -> None:
        entries = [replace(pending.entry, start=7, lead=1, length=21) for pending in self._entries()[pick:]]
        self._do(lambda journal: journal.move(entries), give_up)

    @rule(pick=st.integers(0, 9), give_up=st.booleans())
    def forget(self, pick: int, give_up: bool) -> None:
        numbers = sorted({pending.entry.number for pending in self._entries()})[:pick]
        entries = [pending.entry for pending in self._entries() if pending.entry.number in numbers]
        self._do(lambda journal: journal.forget(Forgotten(entries, numbers)), give_up)

    @rule(limit=st.integers(1, 3), give_up=st.booleans())
    def prune(self, limit: int, give_up: bool) -> None:
        self._do(lambda journal: journal.prune(self.now - 2000, self.now + 2000, limit), give_up)

    @rule(give_up=st.booleans())
    def drop_stale(self, give_up: bool) -> None:
        self._do(lambda journal: journal.drop_stale(self.now - 2000), give_up)

    @rule(boot=st.sampled_from(["one", "two"]), give_up=st.booleans())
    def set_boot(self, boot: str, give_up: bool) -> None:
        self._do(lambda journal: journal.set_boot(boot), give_up)

    @rule()
    def time_passes(self) -> None:
        self.now += 1000

    @rule()
    def maintain(self) -> None:
        self.real.maintain()

    @rule(end=st.sampled_from(["stop", "kill", "power"]), seed=st.integers(0, 999))
    def reopen(self, end: str, seed: int) -> None:
        """Stopped in order, or killed, or without power: another process finds what is there."""
        if end == "stop":
            self.real.close()
            left = len(list(self._texts().iterdir()))
            self.real = _open(self.path)
            assert left <= sum(len(self.model.extents(name)) for name in NAMES) + len(self.model.state.messages)
        else:
            # The files as they are at this moment.
            moved = self.path.parent.with_name(str(int(self.path.parent.name) + 1))
            shutil.copytree(self.path.parent, moved)
            self.real.close()
            self.path = moved / "journal"
            if end == "power":
                self.disk.lose_power(self._texts(), random.Random(seed))
            self.real = _open(self.path)
        # Numbers grow only while something holds one, as nothing can be told apart by them after that.
        held = [number for number, _ in self.model.state.ledger.values()]
        self.model.state.next = max([0, *held, *self.model.state.messages]) + 1

    def _texts(self) -> Path:
        return self.path.with_name("journal.texts")

    @invariant()
    def they_say_the_same(self) -> None:
        assert self.real.pending() == self.model.pending()
        assert self.real.boot() == self.model.boot()
        for delivery in NAMES:
            assert self.real.known(delivery) == self.model.known(delivery)
            assert self.real.extents(delivery) == self.model.extents(delivery)
        for number, message in self.model.state.messages.items():
            assert self.real.message(number) == message
            assert b"".join(self.real.pieces(message)) == b"".join(self.model.pieces(message))

    def teardown(self) -> None:
        self.real.close()
        self.disk.close()
        self.folder.cleanup()


def test_any_sequence_of_changes_and_restarts_is_as_in_the_model() -> None:
    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_missing_message_is_the_journal_s_error(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal")
    with pytest.raises(JournalError, match="7"):
        journal.message(7)
    journal.close()
