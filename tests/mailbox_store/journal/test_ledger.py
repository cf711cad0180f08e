"""Which ids are known: those of messages that are held, and those in the ledger's table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailbox_store.journal.database import Database
from mailbox_store.journal.sqlite_journal import Ledger
from runtime.telling import Histogram


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
