"""The journal's database: its tables, how it is opened, and how one of an older release becomes one of this.

Fails: with `sqlite3.Error`, with OSError of the text files, and as the functions say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from mailbox_store.config import ConfigError
from mailbox_store.journal.journal import JournalError
from mailbox_store.journal.texts import Texts

VERSION = 4
# Half a second of the fastest deliveries measured; above it a commit writes the log back itself.
LOG_LIMIT = 32 * 1024 * 1024
_TABLES = (
    "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Ids that a repeat could still name, of messages that are held no more (see `ledger.py`). `kept` is the message's
    # time; up to version 2 it was when the message was taken in.
    """CREATE TABLE IF NOT EXISTS ledger (
        number INTEGER PRIMARY KEY, delivery TEXT NOT NULL UNIQUE, kept INTEGER NOT NULL
    )""",
    # The data of a large message is in a text file, at this spot, and empty here.
    """CREATE TABLE IF NOT EXISTS message (
        number INTEGER PRIMARY KEY, delivery TEXT NOT NULL, time INTEGER NOT NULL, sender TEXT NOT NULL,
        trace BLOB NOT NULL, staged INTEGER NOT NULL, data BLOB NOT NULL, file INTEGER, place INTEGER, size INTEGER,
        originals BLOB NOT NULL DEFAULT x''
    )""",
    "CREATE INDEX IF NOT EXISTS message_file ON message (file) WHERE file IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS entry (
        number INTEGER NOT NULL, rank INTEGER NOT NULL, mailbox TEXT NOT NULL, start INTEGER NOT NULL,
        lead INTEGER NOT NULL, length INTEGER NOT NULL, appended INTEGER NOT NULL, PRIMARY KEY (number, rank)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS piece (
        delivery TEXT NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, kept INTEGER NOT NULL,
        file INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (delivery, offset)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS piece_file ON piece (file)",
)
# Version 1 had all texts in the database.
_FROM_1 = (
    "ALTER TABLE message ADD COLUMN file INTEGER",
    "ALTER TABLE message ADD COLUMN place INTEGER",
    "ALTER TABLE message ADD COLUMN size INTEGER",
    "ALTER TABLE piece RENAME TO piece_1",
)
# Up to version 3 no message had recipients of other addresses than their mailboxes'.
_FROM_3 = ("ALTER TABLE message ADD COLUMN originals BLOB NOT NULL DEFAULT x''",)
# From one file to the next through an index, which has as many rows of each as there are texts in it.
_FILES_OF = """
WITH RECURSIVE each (file) AS (
    SELECT min(file) FROM {table} WHERE file > 0
    UNION ALL SELECT (SELECT min(file) FROM {table} WHERE file > each.file) FROM each WHERE file IS NOT NULL
) SELECT file FROM each WHERE file IS NOT NULL
"""
_FILES_OF_MESSAGES = _FILES_OF.format(table="message")
_FILES_OF_PIECES = _FILES_OF.format(table="piece")


def connect(path: str) -> sqlite3.Connection:
    """A connection with this project's options.

    :raises JournalError: where the file system cannot hold a write-ahead log.
    """
    # isolation_level None: transactions begin and end where the journal says so.
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        connection.close()
        raise JournalError(f"journal: {path}: its file system cannot hold a write-ahead log (SQLite offers {mode})")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(f"PRAGMA journal_size_limit={LOG_LIMIT}")
    # Debian's SQLite overwrites what is deleted; FAST does so only where the page is written anyway.
    connection.execute("PRAGMA secure_delete=FAST")
    return connection


def open_tables(connection: sqlite3.Connection, path: str, full: int) -> Texts:
    """Make the tables, or bring them to this version; open the text files beside the database, and remove those that
    it does not have.

    Nothing is written to a database that is of this version: a full disk keeps no store from its start.

    :param full: octets of a text file after which another one is begun.
    :raises ConfigError: where a newer release wrote the database.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        connection.close()
        raise ConfigError(f"{path}: written by a newer release (schema {version}, this one knows {VERSION})")
    if version == 0:
        _change(connection, _TABLES)
        connection.execute("COMMIT")
    if version == 1:
        _change(connection, _FROM_1 + _FROM_3 + _TABLES)
    if version in (2, 3):
        # The ledger of version 2 has the ids of messages that are held as well.
        _change(connection, _FROM_3)
        connection.execute("COMMIT")
    needed = files_needed(connection)
    texts = Texts(Path(path + ".texts"), max(needed, default=0), full)
    texts.keep(needed)
    if version == 1:
        _move_pieces(connection, texts)
        connection.execute("COMMIT")
    return texts


def files_needed(connection: sqlite3.Connection) -> set[int]:
    """The text files that something is in."""
    return {file for query in (_FILES_OF_MESSAGES, _FILES_OF_PIECES) for (file,) in connection.execute(query)}


def _change(connection: sqlite3.Connection, statements: Iterable[str]) -> None:
    """Begin a transaction that brings the database to this version."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")


def _move_pieces(connection: sqlite3.Connection, texts: Texts) -> None:
    """Pieces of version 1 become texts."""
    for name in connection.execute("SELECT delivery, offset FROM piece_1").fetchall():
        query = "SELECT delivery, offset, size, kept, data FROM piece_1 WHERE delivery=? AND offset=?"
        *row, data = connection.execute(query, name).fetchone()
        spot = texts.put(data)
        connection.execute("INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?)", (*row, spot.file, spot.place))
    texts.sync()
    connection.execute("DROP TABLE piece_1")
