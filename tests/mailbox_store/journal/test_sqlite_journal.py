"""What is SQLite's own about the journal: errors, sizes, and which texts are beside it."""

from __future__ import annotations

import copy
import errno
import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mailbox_store.journal.database import Database
from mailbox_store.journal.journal import Forgotten, HeldMessage, JournalError, JournalFull, Place
from mailbox_store.journal.sqlite_journal import LARGE, Ledger, SqliteJournal
from mailbox_store.journal.texts import Spot
from runtime.telling import Histogram
from tests.mailbox_store.page_cache import PageCache, put_back


def _message(name: str, data: bytes = b"x", time: int = 1) -> HeldMessage:
    return HeldMessage(name, time, "s@e", b"", 0, data)


def test_what_is_no_journal_is_told(folder: Path) -> None:
    path = folder / "journal"
    path.write_bytes(b"this is not a database, it is a text of some length" * 50)
    with pytest.raises(JournalError, match="not a database"):
        SqliteJournal(path)


def test_only_its_owner_can_read_it(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    journal.close()
    assert modes.pop("journal.texts") == 0o700
    assert set(modes.values()) == {0o600}


def test_nothing_is_taken_in_where_the_log_could_not_be_written_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(folder / "journal", full=LARGE)
    with journal.transaction():
        entries = journal.add(_message("first", bytes(100_000)), [Place("a@b", 0, 0, 1)])
    for _ in range(9):
        with journal.transaction():
            journal.stage("piece", 0, bytes(LARGE), 1)
            journal.discard("piece")
    monkeypatch.setattr(journal._database, "free", lambda: 8 * 1024 * 1024)
    with pytest.raises(JournalFull), journal.transaction():
        journal.add(_message("second"), [Place("a@b", 1, 0, 1)])
    with pytest.raises(JournalFull), journal.transaction():
        journal.stage("third", 0, b"x", 1)
    assert not journal.has_room()
    # The log was cut on the way, text files that nothing is in have gone, and forgetting goes on.
    assert journal._database.log_size() == 0
    assert len(list((folder / "journal.texts").iterdir())) == 1
    with journal.transaction():
        journal.forget(Forgotten(entries, [entries[0].number]))
    monkeypatch.undo()
    assert journal.has_room()
    with journal.transaction():
        journal.add(_message("second"), [Place("a@b", 1, 0, 1)])
    assert (journal.known("second"), journal.known("third")) == (True, False)
    journal.close()


def test_a_full_disk_is_told_apart_and_the_journal_goes_on(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal", large=1_000_000)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count={pages + 10}")
    with pytest.raises(JournalFull), journal.transaction():
        journal.add(_message("large", bytes(100_000)), [Place("a@b", 0, 0, 1)])
    assert not journal.known("large")
    with journal.transaction():
        (entry,) = journal.add(_message("small"), [Place("a@b", 0, 0, 1)])
    assert [pending.entry for pending in journal.pending()] == [entry]
    journal.close()


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        ("pwrite", errno.ENOSPC, JournalFull),
        ("pwrite", errno.EDQUOT, JournalFull),
        ("pwrite", errno.EIO, JournalError),
        ("fdatasync", errno.ENOSPC, JournalFull),
        ("fdatasync", errno.EIO, JournalError),
    ],
)
@pytest.mark.parametrize("staged", [True, False])
def test_a_large_text_that_cannot_be_written_or_synced_is_not_taken(
    folder: Path,
    call: str,
    code: int,
    kind: type[JournalError],
    staged: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    def take() -> None:
        with journal.transaction():
            if staged:
                journal.stage("large", 0, b"y" * LARGE, 1)
            else:
                journal.add(_message("large", b"y" * LARGE), [Place("a@b", 0, 0, 1)])

    journal = SqliteJournal(folder / "journal")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(JournalError) as caught:
            take()
    assert type(caught.value) is kind
    assert os.strerror(code) in str(caught.value)
    assert not journal.known("large")
    assert journal.extents("large") == []
    take()
    assert staged or journal.message(1).data == b"y" * LARGE
    journal.close()


class _Commits:
    """A connection whose commits may fail; `told` has what was done, in order."""

    def __init__(self, connection: sqlite3.Connection, told: list[str]) -> None:
        self._connection = connection
        self._told = told
        self.fail = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement in ("COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)"):
            if self.fail:
                raise sqlite3.OperationalError("disk I/O error")
            self._told.append(statement)
        return self._connection.execute(statement, *values)


def test_a_failed_commit_is_written_over_before_anybody_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records stay in the log where that could be written and not synced: a kill, and they would be found."""
    one, two = folder / "one", folder / "two"
    one.mkdir()
    two.mkdir()
    cache = PageCache(one, random.Random(1))
    with cache.watched(monkeypatch):
        journal = SqliteJournal(one / "journal")
        cache.fails = _once("journal-wal")
        with pytest.raises(JournalError, match="disk I/O error"), journal.transaction():
            journal.add(_message("refused", b"r" * 9000), [Place("a@b", 0, 0, 1)])
        killed = copy.deepcopy(cache.state)
        journal.close()
    for state in (killed, killed.after_power_cut(random.Random(1))):
        put_back(state, two)
        journal = SqliteJournal(two / "journal")
        assert journal.pending() == []
        assert not journal.known("refused")
        journal.close()
        shutil.rmtree(two)
        two.mkdir()


def test_nothing_is_built_on_a_log_that_the_disk_may_not_have(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit's sync fails and its process is killed. The next one finds that commit, and all after it is lost with
    it when the power goes, unless the log is on disk in truth."""
    roots = [folder / name for name in ("one", "two", "three")]
    for root in roots:
        root.mkdir()
    killed = []
    cache = PageCache(roots[0], random.Random(1))
    with cache.watched(monkeypatch):
        journal = SqliteJournal(roots[0] / "journal")
        fails = _once("journal-wal")

        def fails_and_kills(kind: str, name: str) -> bool:
            failed = fails(kind, name)
            if failed:
                cache.after = lambda: killed.append(copy.deepcopy(cache.state)) if not killed else None
            return failed

        cache.fails = fails_and_kills
        with pytest.raises(JournalError), journal.transaction():
            # Larger than a page, so that some of it may have reached the disk, and some not.
            journal.add(_message("in between", b"r" * 30_000), [Place("a@b", 0, 0, 1)])
        journal.close()
    put_back(killed[0], roots[1])
    cache = PageCache(roots[1], random.Random(1), killed[0])
    with cache.watched(monkeypatch):
        journal = SqliteJournal(roots[1] / "journal")
        found = [journal.message(pending.entry.number).delivery for pending in journal.pending()]
        # Nobody was told that it is not stored.
        assert found == ["in between"]
        with journal.transaction():
            journal.add(_message("acknowledged"), [Place("a@b", 0, 0, 1)])
        put_back(cache.state.after_power_cut(random.Random(1)), roots[2])
        journal.close()
    journal = SqliteJournal(roots[2] / "journal")
    assert journal.known("in between")
    assert journal.known("acknowledged")
    journal.close()


def _once(name: str) -> Callable[[str, str], bool]:
    """Has the next sync of that file fail."""
    left = [name]

    def fails(step: str, path: str) -> bool:
        if step != "sync" or path not in left:
            return False
        left.clear()
        return True

    return fails


@pytest.mark.parametrize("call", ["statvfs", "stat"])
def test_a_disk_that_does_not_tell_its_room_is_an_error_like_others(
    folder: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = SqliteJournal(folder / "journal")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(JournalError, match="Input/output error"), journal.transaction():
            journal.add(_message("it"), [Place("a@b", 0, 0, 1)])
    assert not journal.known("it")
    with journal.transaction():
        journal.add(_message("it"), [Place("a@b", 0, 0, 1)])
    journal.close()


def test_what_is_known_after_a_commit_is_not_taken_back_by_an_error_of_the_upkeep(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(folder / "journal")
    with journal.transaction():
        journal.add(_message("it"), [Place("a@b", 0, 0, 1)])

        def fail() -> int:
            raise JournalError("journal: it cannot be looked at")

        # After the commit the size of the log is asked for once more.
        monkeypatch.setattr(journal._database, "log_size", fail)
    assert journal.known("it")
    monkeypatch.undo()
    journal.close()


def test_before_a_text_of_a_failed_commit_is_touched_another_commit_writes_over_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(folder / "journal")
    told: list[str] = []
    commits = _Commits(journal._db, told)
    monkeypatch.setattr(journal._database, "connection", commits)
    put = journal._database.texts.put
    monkeypatch.setattr(journal._database.texts, "put", lambda text: told.append("put") or put(text))

    def take(name: str, octet: bytes) -> None:
        with journal.transaction():
            journal.add(_message(name, octet * LARGE), [Place("a@b", 0, 0, 1)])

    commits.fail = True
    with pytest.raises(JournalError, match="disk I/O error"):
        take("refused", b"r")
    refused = Spot(1, 0, LARGE)
    # The next process may find it, so its text must be there, whatever this one is asked meanwhile.
    with pytest.raises(JournalError):
        take("refused too", b"t")
    monkeypatch.setattr(journal._database, "free", lambda: 0)
    with pytest.raises(JournalError, match="disk I/O error"):
        journal.has_room()
    monkeypatch.delattr(journal._database, "free")
    assert told == ["put"]
    assert journal._database.texts.get(refused) == b"r" * LARGE
    commits.fail = False
    del told[:]
    take("taken", b"t")
    assert told == ["COMMIT", "put", "COMMIT"]
    assert [journal.known(name) for name in ("refused", "refused too", "taken")] == [False, False, True]
    journal.close()


def test_a_journal_that_is_closed_after_a_failed_commit_leaves_its_texts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(folder / "journal")
    commits = _Commits(journal._db, [])
    monkeypatch.setattr(journal._database, "connection", commits)
    commits.fail = True
    with pytest.raises(JournalError), journal.transaction():
        journal.stage("refused", 0, b"r", 1)
    journal.close()
    assert [path.read_bytes() for path in (folder / "journal.texts").iterdir()] == [b"r"]


def test_a_text_that_is_gone_is_the_journal_s_error_and_names_the_file(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal")
    with journal.transaction():
        journal.stage("large", 0, b"x", 1)
        journal.add(HeldMessage("large", 1, "s@e", b"", 1, b""), [Place("a@b", 0, 0, 1)])
    journal.close()
    (path,) = (folder / "journal.texts").iterdir()
    path.unlink()
    journal = SqliteJournal(folder / "journal")
    with pytest.raises(JournalError, match=path.name):
        list(journal.pieces(journal.message(1)))
    journal.close()


@pytest.mark.parametrize("size", [LARGE - 1, LARGE])
def test_large_texts_are_beside_the_database_while_they_are_needed(folder: Path, size: int) -> None:
    journal = SqliteJournal(folder / "journal")
    with journal.transaction():
        entries = journal.add(_message("it", b"needle" + bytes(size - 6)), [Place("a@b", 0, 0, 1)])
    texts = [path.read_bytes() for path in (folder / "journal.texts").iterdir()]
    assert any(b"needle" in text for text in texts) == (size == LARGE)
    assert (b"needle" in (folder / "journal-wal").read_bytes()) == (size < LARGE)
    with journal.transaction():
        journal.forget(Forgotten(entries, [1]))
    journal.close()
    assert not list((folder / "journal.texts").iterdir())


def test_numbers_go_on_after_a_restart_while_a_message_is_held_or_its_id_is_known(folder: Path) -> None:
    def reopened() -> int:
        journal = SqliteJournal(folder / "journal")
        with journal.transaction():
            (entry,) = journal.add(_message(f"after {numbers}"), [Place("a@b", 0, 0, 1)])
            journal.forget(Forgotten([entry], [entry.number]))
        journal.close()
        return entry.number

    journal = SqliteJournal(folder / "journal")
    with journal.transaction():
        entries = [journal.add(_message(name), [Place("a@b", 0, 0, 1)])[0] for name in ("one", "two")]
        journal.forget(Forgotten(entries[:1], [entries[0].number]))
    journal.close()
    numbers = [entry.number for entry in entries]
    for _ in range(2):
        numbers.append(reopened())
    assert numbers == sorted(set(numbers))


def test_ids_of_a_clock_that_was_far_ahead_hold_up_no_others(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal")
    with journal.transaction():
        for number, time in enumerate([900, 900, 1, 1, 50]):
            entries = journal.add(_message(str(number), time=time), [Place("a@b", 0, 0, 1)])
            journal.forget(Forgotten(entries, [entries[0].number]))
    with journal.transaction():
        assert [journal.prune(10, 100, 2) for _ in range(3)] == [2, 2, 0]
    assert [journal.known(str(number)) for number in range(5)] == [False, False, False, False, True]
    journal.close()


def test_the_id_of_a_message_that_is_held_is_not_dropped(folder: Path) -> None:
    journal = SqliteJournal(folder / "journal")
    with journal.transaction():
        entries = journal.add(_message("old"), [Place("a@b", 0, 0, 1)])
    with journal.transaction():
        assert journal.prune(10, 100, 9) == 0
        assert journal.known("old")
        journal.forget(Forgotten(entries, [entries[0].number]))
    with journal.transaction():
        assert journal.known("old")
        assert journal.prune(10, 100, 9) == 1
    assert not journal.known("old")
    journal.close()


def test_a_file_system_without_a_write_ahead_log_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    # SQLite has no such log in memory either.
    monkeypatch.setattr(sqlite3, "connect", lambda _path, **settings: connect(":memory:", **settings))
    with pytest.raises(JournalError, match=r"write-ahead log \(SQLite offers memory\)"):
        SqliteJournal(folder / "journal")


@pytest.mark.parametrize("maintained", [True, False])
@pytest.mark.parametrize("size", [LARGE - 1, 300_000])
def test_neither_file_nor_log_nor_texts_grow_without_end(folder: Path, maintained: bool, size: int) -> None:
    journal = SqliteJournal(folder / "journal", full=1_000_000)
    for number in range(60_000_000 // size):
        with journal.transaction():
            entries = journal.add(_message(str(number), bytes(size)), [Place("a@b", 0, 0, 1)])
        with journal.transaction():
            journal.forget(Forgotten(entries, [entries[0].number]))
        if maintained:
            journal.maintain()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    texts = sum(path.stat().st_size for path in (folder / "journal.texts").iterdir())
    journal.close()
    assert sizes["journal"] < 4_000_000
    assert sizes["journal-wal"] < 40_000_000
    assert texts < 8_000_000


# ---------------------------------------------------------------- the ids of what was delivered


@pytest.fixture
def db(folder: Path) -> Iterator[sqlite3.Connection]:
    database = Database(str(folder / "journal"), Histogram(), None)
    yield database.connection
    database.close()


@contextmanager
def _transaction(db: sqlite3.Connection, ledger: Ledger) -> Iterator[None]:
    db.execute("BEGIN")
    yield
    db.execute("COMMIT")
    ledger.committed()


def _hold(db: sqlite3.Connection, ledger: Ledger, number: int, delivery: str, time: int = 5) -> None:
    db.execute("INSERT INTO message VALUES (?, ?, ?, '', '', 0, '', NULL, NULL, NULL, '')", (number, delivery, time))
    ledger.add(number, delivery)


def _drop(db: sqlite3.Connection, ledger: Ledger, number: int) -> None:
    ledger.forget([number])
    db.execute("DELETE FROM message WHERE number=?", (number,))


def _table(db: sqlite3.Connection) -> list[tuple[int, str, int]]:
    return db.execute("SELECT number, delivery, kept FROM ledger ORDER BY number").fetchall()


def test_an_id_is_known_from_its_message_s_first_moment_until_it_is_dropped(db: sqlite3.Connection) -> None:
    ledger = Ledger(db)
    known = []
    with _transaction(db, ledger):
        _hold(db, ledger, 1, "a.1", time=7)
        known.append(ledger.knows("a.1"))
    known.append(ledger.knows("a.1"))
    assert _table(db) == []
    with _transaction(db, ledger):
        _drop(db, ledger, 1)
        known.append(ledger.knows("a.1"))
    known.append(ledger.knows("a.1"))
    assert _table(db) == [(1, "a.1", 7)]
    with _transaction(db, ledger):
        assert ledger.prune(8, 99, 9) == 1
        known.append(ledger.knows("a.1"))
    assert known == [True, True, True, True, False]


def test_another_process_knows_the_same(db: sqlite3.Connection) -> None:
    ledger = Ledger(db)
    with _transaction(db, ledger):
        _hold(db, ledger, 1, "forgotten.1")
        _hold(db, ledger, 2, "held.1")
        _drop(db, ledger, 1)
    again = Ledger(db)
    assert [again.knows(name) for name in ("forgotten.1", "held.1", "never.1")] == [True, True, False]


def test_of_a_transaction_that_was_rolled_back_nothing_is_known_and_nothing_is_forgotten(
    db: sqlite3.Connection,
) -> None:
    ledger = Ledger(db)
    with _transaction(db, ledger):
        _hold(db, ledger, 1, "before.1")
    db.execute("BEGIN")
    _hold(db, ledger, 2, "added.1")
    _drop(db, ledger, 1)
    _drop(db, ledger, 2)
    db.execute("ROLLBACK")
    ledger.rolled_back()
    assert [ledger.knows(name) for name in ("before.1", "added.1")] == [True, False]
    # The number is free again, and what was to be forgotten is still held.
    with _transaction(db, ledger):
        _hold(db, ledger, 2, "other.1")
    assert [ledger.knows(name) for name in ("before.1", "added.1", "other.1")] == [True, False, True]
    assert _table(db) == []
