"""The journal in one SQLite file: write-ahead log, `synchronous=FULL`, so each transaction's commit is an fsync.

The texts of large messages, and the pieces of those under way, are in files beside it (`texts.py`), synced before the
transaction that has them is committed.

A commit that failed may still be found by the next process: where the log could be written and not synced, its
records stay in the file, or in the kernel's memory of it. So before anybody is told, a commit of its own writes over
them. Where that fails too it is tried again before anything else is taken in; until then no text of that transaction
is touched, and only a loss of power can bring the records back.

What the next process finds in the log may be in the kernel's memory alone, and a sync of it prove nothing
(`durable.py`). So the log is written over with itself before it is opened. The database's own file needs no such
thing: what is written back to it stays in the log until its sync has succeeded, and each start begins that anew.

Fails: see `journal.py`; on opening, `ConfigError` for a file of a newer schema.
Limits: the file keeps the size of its fullest moment and reuses the pages. The write-ahead log is written back by
`maintain`, in the second thread; where that cannot keep up, a commit that finds the log over `LOG_LIMIT` does the
rest itself, in some milliseconds. Nothing is taken in where the disk has no room for it (`journal_room.py`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from mailbox_store.journal.durable import rewrite, sync_path
from mailbox_store.journal.journal import Entry, Forgotten, JournalError, JournalFull, Message, Pending, Place
from mailbox_store.journal.journal_errors import disk_translated, sqlite_translated
from mailbox_store.journal.journal_room import Room
from mailbox_store.journal.ledger import Ledger
from mailbox_store.journal.schema import LOG_LIMIT, connect, files_needed, open_tables
from mailbox_store.journal.texts import FULL, Spot
from runtime.histogram import Histogram

# Texts of so many octets are kept beside the database.
LARGE = 32 * 1024
# Files of texts that a small disk holds.
_FILES = 64
# The column of a message's recipients that have other addresses than their mailboxes.
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[tuple[str, str], ...]).decode


class SqliteJournal:
    """See `journal.Journal`."""

    def __init__(
        self, path: str | Path, commits: Histogram | None = None, large: int = LARGE, full: int | None = None
    ) -> None:
        """Open the journal's file, made if it is missing.

        :param commits: where the seconds that each commit took are counted.
        :param large: octets of a text from which it is kept beside the database.
        :param full: octets of a file of texts after which another one is begun; by itself FULL, and less where the
            disk is small: one message that waits keeps a whole file.
        :raises ConfigError: where a newer release wrote the file.
        :raises JournalError: where it cannot be opened or is no journal.
        """
        self._commits = Histogram() if commits is None else commits
        self._path = str(path)
        self._log = self._path + "-wal"
        self._large = large
        folder = str(Path(self._path).parent)
        with sqlite_translated, disk_translated:
            # It holds mail. SQLite gives the files beside it the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            rewrite(self._log)
            self._db = connect(self._path)
            space = os.statvfs(folder)
            share = space.f_blocks * space.f_frsize // _FILES
            self._texts = open_tables(self._db, self._path, min(FULL, share) if full is None else full)
            self._ledger = Ledger(self._db)
        self._room = Room(self._db, folder, self._log)
        self._next = self._first_free()
        # Texts were let go of since the text files were last looked through.
        self._freed = False
        # The last commit failed, and the next process may find it all the same.
        self._uncertain = False
        self._full = False
        self._caretaker: sqlite3.Connection | None = None

    def _first_free(self) -> int:
        query = (
            "SELECT max((SELECT ifnull(max(number), 0) FROM ledger), (SELECT ifnull(max(number), 0) FROM message))"
        )
        with sqlite_translated:
            return int(self._db.execute(query).fetchone()[0]) + 1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._uncertain:
            self._write_over()
        first, mark = self._next, self._texts.mark
        try:
            with sqlite_translated:
                self._full = not (self._room.is_enough() or self._make_room())
                self._db.execute("BEGIN IMMEDIATE")
                yield
                began = time.monotonic()
                if self._texts.unsynced:
                    with disk_translated:
                        self._texts.sync()
                self._uncertain = True
                self._db.execute("COMMIT")
                self._uncertain = False
                self._commits.add(time.monotonic() - began)
        except BaseException:
            self._ledger.rolled_back(range(first, self._next))
            self._next = first
            self._roll_back()
            if self._uncertain:
                with suppress(JournalError):
                    self._write_over()
            if not self._uncertain:
                self._texts.rewind(mark)
            raise
        self._ledger.committed()
        self._settle()

    def _roll_back(self) -> None:
        # Some errors have done it already.
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _write_over(self) -> None:
        """Write over the records of a commit that failed."""
        with sqlite_translated, disk_translated:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute("INSERT OR REPLACE INTO setting VALUES ('written_over', ?)", (str(self._next),))
                self._db.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                # There may be no room for it. Cutting the log takes the records away as well, once it is on disk.
                if self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    raise
                sync_path(self._log)
        self._uncertain = False

    def _settle(self) -> None:
        """After a commit: keep log and text files small."""
        # All of it is tried again after the next commit; this one has succeeded.
        with suppress(sqlite3.Error, JournalError):
            if self._room.log_size() > LOG_LIMIT:
                # The only writer writes the rest back, so the next transaction begins the log anew.
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if self._freed:
            self._freed = False
            if self._texts.may_let_go:
                with suppress(sqlite3.Error):
                    self._texts.keep(files_needed(self._db))

    def known(self, delivery: str) -> bool:
        with sqlite_translated:
            return self._ledger.knows(delivery)

    def add(self, message: Message, places: Sequence[Place]) -> list[Entry]:
        self._take_in()
        number = self._next
        entries = [
            Entry(number, rank, place.mailbox, place.start, place.lead, place.length)
            for rank, place in enumerate(places)
        ]
        with sqlite_translated:
            self._db.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    message.delivery,
                    message.time,
                    message.sender,
                    message.trace,
                    message.staged,
                    *self._put(message.data),
                    _encode(message.originals) if message.originals else b"",
                ),
            )
            self._db.executemany(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, 0)",
                [(number, entry.rank, entry.mailbox, entry.start, entry.lead, entry.length) for entry in entries],
            )
        self._ledger.add(number, message.delivery)
        self._next += 1
        return entries

    def _put(self, data: bytes) -> tuple[bytes, int | None, int | None, int | None]:
        """The columns of a message's data."""
        if len(data) < self._large:
            return data, None, None, None
        with disk_translated:
            spot = self._texts.put(data)
        return b"", spot.file, spot.place, spot.size

    def message(self, number: int) -> Message:
        query = """SELECT delivery, time, sender, trace, staged, data, file, place, size, originals
                   FROM message WHERE number=?"""
        with sqlite_translated:
            row = self._db.execute(query, (number,)).fetchone()
        if row is None:
            raise JournalError(f"journal: there is no message {number}")
        delivery, time_, sender, trace, staged, data, file, place, size, originals = row
        text = data if file is None else self._get(Spot(file, place, size))
        return Message(delivery, time_, sender, trace, staged, text, _decode(originals) if originals else ())

    def _get(self, spot: Spot) -> bytes:
        with disk_translated:
            return self._texts.get(spot)

    def received(self, number: int) -> int | None:
        with sqlite_translated:
            row = self._db.execute("SELECT time FROM message WHERE number=?", (number,)).fetchone()
        return row[0] if row else None

    def pieces(self, message: Message) -> Iterator[bytes]:
        if message.staged:
            query = "SELECT file, place, size FROM piece WHERE delivery=? ORDER BY offset"
            with sqlite_translated:
                spots = self._db.execute(query, (message.delivery,)).fetchall()
            for spot in spots:
                yield self._get(Spot(*spot))
        yield message.data

    def stage(self, delivery: str, offset: int, data: bytes, now: int) -> int:
        self._take_in()
        with sqlite_translated:
            query = "SELECT 1 FROM piece WHERE delivery=? AND offset=?"
            if self._db.execute(query, (delivery, offset)).fetchone() is None:
                with disk_translated:
                    spot = self._texts.put(data)
                row = (delivery, offset, spot.size, now, spot.file, spot.place)
                self._db.execute("INSERT INTO piece VALUES (?, ?, ?, ?, ?, ?)", row)
            query = "SELECT sum(size) FROM piece WHERE delivery=?"
            return int(self._db.execute(query, (delivery,)).fetchone()[0])

    def extents(self, delivery: str) -> list[tuple[int, int]]:
        with sqlite_translated:
            return self._db.execute(
                "SELECT offset, size FROM piece WHERE delivery=? ORDER BY offset", (delivery,)
            ).fetchall()

    def discard(self, delivery: str) -> None:
        self._freed = True
        with sqlite_translated:
            self._db.execute("DELETE FROM piece WHERE delivery=?", (delivery,))

    def move(self, entries: Sequence[Entry]) -> None:
        with sqlite_translated:
            self._db.executemany(
                "UPDATE entry SET start=?, lead=?, length=? WHERE number=? AND rank=?",
                [(entry.start, entry.lead, entry.length, entry.number, entry.rank) for entry in entries],
            )

    def set_appended(self, entries: Iterable[Entry]) -> None:
        with sqlite_translated:
            self._db.executemany(
                "UPDATE entry SET appended=1 WHERE number=? AND rank=?",
                [(entry.number, entry.rank) for entry in entries],
            )

    def forget(self, done: Forgotten) -> None:
        messages = [(number,) for number in done.messages]
        self._freed = True
        with sqlite_translated:
            self._db.executemany(
                "DELETE FROM entry WHERE number=? AND rank=?", [(entry.number, entry.rank) for entry in done.entries]
            )
            self._db.executemany(
                "DELETE FROM piece WHERE delivery=(SELECT delivery FROM message WHERE number=? AND staged>0)",
                messages,
            )
            self._ledger.forget(done.messages)
            self._db.executemany("DELETE FROM message WHERE number=?", messages)

    def pending(self) -> list[Pending]:
        query = "SELECT number, rank, mailbox, start, lead, length, appended FROM entry ORDER BY mailbox, number"
        with sqlite_translated:
            return [Pending(Entry(*row[:6]), bool(row[6])) for row in self._db.execute(query)]

    def prune(self, before: int, after: int, limit: int) -> int:
        with sqlite_translated:
            return self._ledger.prune(before, after, limit)

    def drop_stale(self, before: int) -> int:
        query = """SELECT delivery FROM piece WHERE delivery NOT IN (SELECT delivery FROM message)
                   GROUP BY delivery HAVING max(kept)<?"""
        with sqlite_translated:
            stale = self._db.execute(query, (before,)).fetchall()
            self._freed = True
            self._db.executemany("DELETE FROM piece WHERE delivery=?", stale)
        return len(stale)

    def boot(self) -> str:
        with sqlite_translated:
            row = self._db.execute("SELECT value FROM setting WHERE name='boot'").fetchone()
        return row[0] if row else ""

    def set_boot(self, boot: str) -> None:
        with sqlite_translated:
            self._db.execute("INSERT OR REPLACE INTO setting VALUES ('boot', ?)", (boot,))
            self._db.execute("UPDATE entry SET appended=0")

    def maintain(self) -> None:
        with sqlite_translated:
            if self._caretaker is None:
                self._caretaker = connect(self._path)
            self._caretaker.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        with sqlite_translated:
            if self._caretaker is not None:
                self._caretaker.close()
            if self._uncertain:
                with suppress(JournalError):
                    self._write_over()
            if not self._uncertain:
                self._texts.clear(files_needed(self._db))
            self._db.close()

    def _take_in(self) -> None:
        if self._full:
            raise JournalFull("journal: its disk has too little room left")

    def has_room(self) -> bool:
        # Room is made of texts, too, that the next process could miss.
        if self._uncertain:
            self._write_over()
        with sqlite_translated:
            return self._room.is_enough() or self._make_room()

    def _make_room(self) -> bool:
        """All that was written back is room again once the log is cut."""
        with suppress(sqlite3.Error):
            self._texts.clear(files_needed(self._db))
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self._room.is_enough()
