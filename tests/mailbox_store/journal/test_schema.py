"""The database: made, refused where it is newer, and brought from an older release with all that is in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mailbox_store.config import ConfigError
from mailbox_store.journal import schema
from mailbox_store.journal.journal import Entry, Forgotten, Message, Pending, Place
from mailbox_store.journal.sqlite_journal import LARGE, SqliteJournal

# What a journal of version 1 had: a small message, and a large one of two pieces and a rest; and one under way.
_VERSION_1 = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ledger (number INTEGER PRIMARY KEY, delivery TEXT NOT NULL UNIQUE, kept INTEGER NOT NULL);
CREATE TABLE message (
    number INTEGER PRIMARY KEY, delivery TEXT NOT NULL, time INTEGER NOT NULL, sender TEXT NOT NULL,
    trace BLOB NOT NULL, staged INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE TABLE entry (
    number INTEGER NOT NULL, rank INTEGER NOT NULL, mailbox TEXT NOT NULL, start INTEGER NOT NULL,
    lead INTEGER NOT NULL, length INTEGER NOT NULL, appended INTEGER NOT NULL, PRIMARY KEY (number, rank)
) WITHOUT ROWID;
CREATE TABLE piece (
    delivery TEXT NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, kept INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (delivery, offset)
);
INSERT INTO setting VALUES ('boot', 'this one');
INSERT INTO ledger VALUES (1, 'a.1', 5), (2, 'b.1', 5);
INSERT INTO message VALUES (1, 'a.1', 5, 's@e', x'740a', 0, x'736d616c6c'), (2, 'b.1', 6, '', x'740a', 5, x'21');
INSERT INTO entry VALUES (1, 0, 'x@e', 10, 1, 20, 1), (2, 0, 'x@e', 30, 0, 40, 0);
INSERT INTO piece VALUES ('b.1', 0, 3, 5, x'6c6172'), ('b.1', 3, 2, 5, x'6765'), ('c.1', 0, 4, 7, x'77616974');
PRAGMA user_version=1;
"""


def _first(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript(_VERSION_1)
    database.close()


def _holds_all(journal: SqliteJournal) -> None:
    assert journal.boot() == "this one"
    assert [journal.known(name) for name in ("a.1", "b.1", "c.1")] == [True, True, False]
    assert journal.pending() == [
        Pending(Entry(1, 0, "x@e", 10, 1, 20), True),
        Pending(Entry(2, 0, "x@e", 30, 0, 40), False),
    ]
    assert journal.message(1) == Message("a.1", 5, "s@e", b"t\n", 0, b"small")
    assert b"".join(journal.pieces(journal.message(2))) == b"large!"
    assert journal.extents("c.1") == [(0, 4)]


def test_a_journal_of_version_1_is_brought_to_this_one_with_all_that_is_in_it(folder: Path) -> None:
    path = folder / "journal"
    _first(path)
    for _ in range(2):
        journal = SqliteJournal(path)
        _holds_all(journal)
        with journal.transaction():
            assert journal.stage("c.1", 4, b"more", 8) == 8
            journal.discard("c.1")
            journal.stage("c.1", 0, b"wait", 7)
        journal.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert not database.execute("SELECT name FROM sqlite_master WHERE name='piece_1'").fetchall()
    database.close()


def test_a_journal_of_version_2_has_the_ids_of_held_messages_in_its_ledger_already(folder: Path) -> None:
    path = folder / "journal"
    journal = SqliteJournal(path)
    with journal.transaction():
        entries = journal.add(Message("a.1", 5, "s@e", b"t\n", 0, b"small"), [Place("x@e", 0, 0, 20)])
    journal.close()
    database = sqlite3.connect(path)
    database.executescript(
        """ALTER TABLE message DROP COLUMN originals;
        INSERT INTO ledger VALUES (1, 'a.1', 6); PRAGMA user_version=2;"""
    )
    database.close()
    for held in (True, False):
        journal = SqliteJournal(path)
        assert journal.known("a.1")
        with journal.transaction():
            if held:
                journal.forget(Forgotten(entries, [1]))
            else:
                journal.add(Message("a.2", 5, "", b"", 0, b""), [Place("x@e", 20, 0, 20)])
        journal.close()
    database = sqlite3.connect(path)
    assert database.execute("SELECT number, delivery FROM ledger").fetchall() == [(1, "a.1")]
    assert database.execute("SELECT number, delivery FROM message").fetchall() == [(2, "a.2")]
    assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    database.close()


def test_a_conversion_that_is_cut_short_changes_nothing_and_is_done_at_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "journal"
    _first(path)
    connection = schema.connect(str(path))

    class _PowerCutError(Exception):
        pass

    def cut(_self: object) -> None:
        raise _PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr("mailbox_store.journal.texts.Texts.sync", cut)
        with pytest.raises(_PowerCutError):
            schema.open_tables(connection, str(path), LARGE)
    connection.close()
    journal = SqliteJournal(path)
    _holds_all(journal)
    journal.close()


def test_a_newer_journal_is_refused_and_left_alone(folder: Path) -> None:
    path = folder / "journal"
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    database.close()
    with pytest.raises(ConfigError, match="newer release"):
        SqliteJournal(path)
    assert [each.name for each in folder.iterdir()] == ["journal"]


def test_a_database_of_this_version_is_opened_without_a_change(folder: Path) -> None:
    path = str(folder / "journal")
    for _ in range(2):
        connection = schema.connect(path)
        schema.open_tables(connection, path, LARGE).clear(())
        changes = connection.total_changes
        version = connection.execute("PRAGMA data_version").fetchone()
        log = Path(path + "-wal").stat().st_size
        schema.open_tables(connection, path, LARGE).clear(())
        assert (connection.total_changes, connection.execute("PRAGMA data_version").fetchone()) == (changes, version)
        assert Path(path + "-wal").stat().st_size == log
        connection.close()


@pytest.mark.parametrize("files", [[], [1], [1, 2, 7], list(range(1, 200))])
def test_the_files_needed_are_those_of_messages_and_of_pieces(folder: Path, files: list[int]) -> None:
    path = str(folder / "journal")
    connection = schema.connect(path)
    schema.open_tables(connection, path, LARGE).clear(())
    for place, file in enumerate(files * 3):
        if (file + place) % 2:
            connection.execute("INSERT INTO message VALUES (?, 'a', 1, '', '', 0, '', ?, 0, 9, '')", (place, file))
        else:
            connection.execute("INSERT INTO piece VALUES (?, 0, 9, 1, ?, 0)", (f"d.{place}", file))
    connection.execute("INSERT INTO message VALUES (9999, 'a', 1, '', '', 0, 'small', NULL, NULL, NULL, '')")
    assert schema.files_needed(connection) == set(files)
    connection.close()


def test_tables_that_are_there_are_left_as_they_are(folder: Path) -> None:
    path = str(folder / "journal")
    connection = schema.connect(path)
    schema.open_tables(connection, path, LARGE).clear(())
    tables = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    schema.open_tables(connection, path, LARGE).clear(())
    assert connection.execute("SELECT name, sql FROM sqlite_master").fetchall() == tables
    connection.close()
