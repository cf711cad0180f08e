"""The journal's database, and what one commit of it is: SQLite with a write-ahead log and `synchronous=FULL`, so that
each commit is an fsync. The texts of large messages are in files beside it (`texts.py`), synced before the commit of
the transaction that has them.

A commit that failed may still be found by the next process: where the log could be written and not synced, its
records stay in the file, or in the kernel's memory of it. So before anybody is told, a commit of its own writes over
them. Where that fails too it is tried again before anything else is taken in; until then no text of that transaction
is touched, and only a loss of power can bring the records back.

What the next process finds in the log may be in the kernel's memory alone, and a sync of it prove nothing
(`durable.py`). So the log is written over with itself before it is opened. The database's own file needs no such
thing: what is written back to it stays in the log until its sync has succeeded, and each start begins that anew.

A log that has filled the disk could neither be written back nor begun anew. So nothing is taken in where the disk has
no room for the next transaction, and for writing it back from the log as well.

Gives: `Database`; `sqlite_translated` and `disk_translated`, for a `with` around what may fail.
Fails: with the journal's errors; on opening, with `ConfigError` for a file of another release.
Limits: the file keeps the size of its fullest moment and reuses the pages. `maintain`, in the second thread, writes
the log back; a commit that finds it over `LOG_LIMIT` all the same does the rest itself, in some milliseconds. Of a
disk it is seen how much is free, not what a quota allows.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailbox_store.config import ConfigError
from mailbox_store.journal import durable
from mailbox_store.journal.journal import JournalError, JournalFull
from mailbox_store.journal.texts import FULL, Texts
from runtime.telling import Histogram

VERSION = 4
# Half a second of the fastest deliveries measured; above it a commit writes the log back itself.
LOG_LIMIT = 32 * 1024 * 1024
# What one transaction may add: a batch of the store, 8 MiB of mail and mostly no more than 4 MiB over that. One that
# is more, and finds no room, fails, and its questions are tried one by one.
BATCH = 12 * 1024 * 1024
# Files of texts that a small disk holds.
_FILES = 64
_TABLES = (
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Ids that a repeat could still name, of messages that are held no more. `kept` is the message's time.
    "CREATE TABLE ledger (number INTEGER PRIMARY KEY, delivery TEXT NOT NULL UNIQUE, kept INTEGER NOT NULL)",
    # The data of a large message is in a text file, at this spot, and empty here.
    """CREATE TABLE message (
        number INTEGER PRIMARY KEY, delivery TEXT NOT NULL, time INTEGER NOT NULL, sender TEXT NOT NULL,
        trace BLOB NOT NULL, staged INTEGER NOT NULL, data BLOB NOT NULL, file INTEGER, place INTEGER, size INTEGER,
        originals BLOB NOT NULL
    )""",
    "CREATE INDEX message_file ON message (file) WHERE file IS NOT NULL",
    """CREATE TABLE entry (
        number INTEGER NOT NULL, rank INTEGER NOT NULL, mailbox TEXT NOT NULL, start INTEGER NOT NULL,
        lead INTEGER NOT NULL, length INTEGER NOT NULL, appended INTEGER NOT NULL, PRIMARY KEY (number, rank)
    ) WITHOUT ROWID""",
    """CREATE TABLE piece (
        delivery TEXT NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL, kept INTEGER NOT NULL,
        file INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (delivery, offset)
    ) WITHOUT ROWID""",
    "CREATE INDEX piece_file ON piece (file)",
)
# From one file to the next through an index, which has as many rows of each as there are texts in it.
_FILES_OF = """
WITH RECURSIVE each (file) AS (
    SELECT min(file) FROM {table} WHERE file > 0
    UNION ALL SELECT (SELECT min(file) FROM {table} WHERE file > each.file) FROM each WHERE file IS NOT NULL
) SELECT file FROM each WHERE file IS NOT NULL
"""
_FILES_NEEDED = [_FILES_OF.format(table=table) for table in ("message", "piece")]


class _OfSqlite:
    """A class, for a generator costs as much as a statement."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise (JournalFull if full else JournalError)(f"journal: {error}") from error


class _OfDisk:
    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise _of_disk(error) from error


def _of_disk(error: OSError) -> JournalError:
    return (JournalFull if error.errno in durable.FULL else JournalError)(f"journal: {error}")


sqlite_translated = _OfSqlite()
disk_translated = _OfDisk()


class Database:
    """The one connection that writes, and the texts beside it."""

    def __init__(self, path: str, commits: Histogram, full: int | None) -> None:
        """Open the file, made if it is missing.

        :param commits: where the seconds that each commit took are counted.
        :param full: octets of a file of texts after which another one is begun; None: FULL, and less where the disk
            is small, for one message that waits keeps a whole file.
        """
        self._commits = commits
        self._path = path
        self._log = path + "-wal"
        self._folder = str(Path(path).parent)
        with sqlite_translated, disk_translated:
            # It holds mail. SQLite gives the files beside it the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            durable.rewrite(self._log)
            self.connection = _connect(path)
            space = os.statvfs(self._folder)
            self.texts = self._open_tables(full or min(FULL, space.f_blocks * space.f_frsize // _FILES))
        # Is there no room for what the transaction under way would take in?
        self.full = False
        # Texts were let go of since the text files were last looked through.
        self.freed = False
        # The last commit failed, and the next process may find it all the same.
        self._uncertain = False
        self._caretaker: sqlite3.Connection | None = None

    def _open_tables(self, full: int) -> Texts:
        """Nothing is written to a database that is of this version: a full disk keeps no store from its start."""
        version = self._pragma("user_version")
        if version not in (0, VERSION):
            self.connection.close()
            raise ConfigError(f"{self._path}: another release wrote it (schema {version}, this one knows {VERSION})")
        if version == 0:
            self.connection.execute("BEGIN IMMEDIATE")
            for statement in (*_TABLES, f"PRAGMA user_version={VERSION}"):
                self.connection.execute(statement)
            self.connection.execute("COMMIT")
        texts = Texts(Path(self._path + ".texts"), max(needed := self.files_needed(), default=0), full)
        texts.keep(needed)
        return texts

    def files_needed(self) -> set[int]:
        """The text files that something is in."""
        return {file for query in _FILES_NEEDED for (file,) in self.connection.execute(query)}

    # ------------------------------------------------------------ a commit

    @contextmanager
    def transaction(self, committed: Callable[[], None], rolled_back: Callable[[], None]) -> Iterator[None]:
        """See `journal.Journal`. How it has ended, one of the two hears before anything else is done."""
        if self._uncertain:
            self._write_over()
        mark = self.texts.mark
        try:
            with sqlite_translated:
                self.full = not (self._has_room() or self._make_room())
                self.connection.execute("BEGIN IMMEDIATE")
                yield
                began = time.monotonic()
                if self.texts.unsynced:
                    with disk_translated:
                        self.texts.sync()
                self._uncertain = True
                self.connection.execute("COMMIT")
                self._uncertain = False
                self._commits.add(time.monotonic() - began)
        except BaseException:
            rolled_back()
            self._roll_back()
            if self._uncertain:
                with suppress(JournalError):
                    self._write_over()
            if not self._uncertain:
                self.texts.rewind(mark)
            raise
        committed()
        self._keep_small()

    def _roll_back(self) -> None:
        # Some errors have done it already.
        if self.connection.in_transaction:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    def _write_over(self) -> None:
        """Write over the records of a commit that failed."""
        with sqlite_translated, disk_translated:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                self.connection.execute(
                    "INSERT OR REPLACE INTO setting VALUES ('written_over', ?)", (time.time_ns(),)
                )
                self.connection.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                # There may be no room for it. Cutting the log takes the records away as well, once it is on disk.
                if self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    raise
                durable.sync_path(self._log)
        self._uncertain = False

    def _keep_small(self) -> None:
        """After a commit, of log and text files. All of it is tried again after the next; this one has succeeded."""
        with suppress(sqlite3.Error, JournalError):
            if self.log_size() > LOG_LIMIT:
                # The only writer writes the rest back, so the next transaction begins the log anew.
                self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if self.freed:
            self.freed = False
            if self.texts.may_let_go:
                with suppress(sqlite3.Error):
                    self.texts.keep(self.files_needed())

    def maintain(self) -> None:
        """See `journal.Journal`."""
        with sqlite_translated:
            if self._caretaker is None:
                self._caretaker = _connect(self._path)
            self._caretaker.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        with sqlite_translated:
            if self._caretaker is not None:
                self._caretaker.close()
            if self._uncertain:
                with suppress(JournalError):
                    self._write_over()
            if not self._uncertain:
                self.texts.clear(self.files_needed())
            self.connection.close()

    def has_room(self) -> bool:
        """See `journal.Journal`."""
        # Room is made of texts, too, that the next process could miss.
        if self._uncertain:
            self._write_over()
        with sqlite_translated:
            return self._has_room() or self._make_room()

    def _has_room(self) -> bool:
        free, log = self.free(), self.log_size()
        # Nearly always there is room enough if no page of the database were unused, and none need be asked for.
        if free >= 2 * BATCH + log:
            return True
        page, unused = (self._pragma(name) for name in ("page_size", "freelist_count"))
        return free >= BATCH + max(0, log + BATCH - page * unused)

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _make_room(self) -> bool:
        """All that was written back is room again once the log is cut."""
        with suppress(sqlite3.Error):
            self.texts.clear(self.files_needed())
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self._has_room()

    def free(self) -> int:
        """Octets that may still be written."""
        try:
            space = os.statvfs(self._folder)
        except OSError as error:
            raise _of_disk(error) from error
        return space.f_bavail * space.f_frsize

    def log_size(self) -> int:
        """Octets of the log."""
        try:
            return os.stat(self._log).st_size  # noqa: PTH116  # a Path would cost more than the call
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise _of_disk(error) from error


def _connect(path: str) -> sqlite3.Connection:
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
