"""The journal in one SQLite file (`database.py`): what is written in its tables, and what is read.

The promise is in `journal.py`; what keeps it, the commit, in `database.py`. Here is what must be true of the rows: a
message is there with all its entries, and its id is known from then on, whether the message is still held or not.

Fails: see `journal.py`; on opening, `ConfigError` for a file of another schema.
Limits: see `database.py`. The id of a message that is held costs some 300 octets of memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from mailbox_store.journal.database import Database, disk_translated, sqlite_translated
from mailbox_store.journal.journal import Forgotten, HeldEntry, HeldMessage, JournalError, JournalFull, Pending, Place
from mailbox_store.journal.texts import Spot
from runtime.telling import Histogram

# Texts of so many octets are kept beside the database.
LARGE = 32 * 1024
# The column of a message's recipients that have other addresses than their mailboxes.
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[tuple[str, str], ...]).decode


class Ledger:
    """The ids of what was delivered: what a repeat is known by. Used inside the journal's transactions, which tell it
    how they end.

    Those of messages that are held are in memory; the message's own row is what they are on disk. Once a message is
    forgotten its id goes to a table of ids alone, with hundreds of others: its index has the ids of different
    sessions in different places, so one by one each id would have a page of it written with its commit.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # Of the messages that are held, by their number.
        self._held: dict[int, str] = dict(db.execute("SELECT number, delivery FROM message"))
        self._names = set(self._held.values())
        # The number of the next message.
        self.next = 1 + max(
            db.execute(f"SELECT ifnull(max(number), 0) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("ledger", "message")
        )
        # Those that the transaction under way has added, and those that it has put into the table.
        self._added: list[int] = []
        self._forgotten: list[int] = []

    def knows(self, delivery: str) -> bool:
        """Is the id there?"""
        if delivery in self._names:
            return True
        return self._db.execute("SELECT 1 FROM ledger WHERE delivery=?", (delivery,)).fetchone() is not None

    def add(self, number: int, delivery: str) -> None:
        """Know the id of a message that is held from now on, and that was not known."""
        self._held[number] = delivery
        self._names.add(delivery)
        self._added.append(number)
        self.next = number + 1

    def forget(self, messages: Sequence[int]) -> None:
        """Keep the ids of messages that will not be held any more, and still are."""
        query = "INSERT INTO ledger SELECT number, delivery, time FROM message WHERE number=?"
        self._db.executemany(query, [(number,) for number in messages])
        self._forgotten += messages

    def prune(self, before: int, after: int, limit: int) -> int:
        """See `journal.Journal`."""
        query = """DELETE FROM ledger WHERE (kept<? OR kept>?)
                   AND number IN (SELECT number FROM ledger ORDER BY number LIMIT ?)"""
        return self._db.execute(query, (before, after, limit)).rowcount

    def committed(self) -> None:
        """The transaction is on disk."""
        for number in self._forgotten:
            self._names.discard(self._held.pop(number, ""))
        self._added, self._forgotten = [], []

    def rolled_back(self) -> None:
        """Nothing of the transaction was kept."""
        self.next -= len(self._added)
        for number in self._added:
            self._names.discard(self._held.pop(number, ""))
        self._added, self._forgotten = [], []


class SqliteJournal:
    """See `journal.Journal`."""

    def __init__(
        self, path: str | Path, commits: Histogram | None = None, large: int = LARGE, full: int | None = None
    ) -> None:
        """Open the journal's file, made if it is missing.

        :param commits: where the seconds that each commit took are counted.
        :param large: octets of a text from which it is kept beside the database.
        :param full: octets of a file of texts after which another one is begun, see `Database`.
        :raises ConfigError: where another release wrote the file.
        :raises JournalError: where it cannot be opened or is no journal.
        """
        self._large = large
        self._database = Database(str(path), Histogram() if commits is None else commits, full)
        self._db = self._database.connection
        with sqlite_translated:
            self._ledger = Ledger(self._db)

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction(self._ledger.committed, self._ledger.rolled_back)

    def known(self, delivery: str) -> bool:
        with sqlite_translated:
            return self._ledger.knows(delivery)

    def add(self, message: HeldMessage, places: Sequence[Place]) -> list[HeldEntry]:
        self._take_in()
        number = self._ledger.next
        entries = [
            HeldEntry(number, rank, place.mailbox, place.start, place.lead, place.length)
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
        return entries

    def _put(self, data: bytes) -> tuple[bytes, int | None, int | None, int | None]:
        """The columns of a message's data."""
        if len(data) < self._large:
            return data, None, None, None
        with disk_translated:
            spot = self._database.texts.put(data)
        return b"", spot.file, spot.place, spot.size

    def message(self, number: int) -> HeldMessage:
        query = """SELECT delivery, time, sender, trace, staged, data, file, place, size, originals
                   FROM message WHERE number=?"""
        with sqlite_translated:
            row = self._db.execute(query, (number,)).fetchone()
        if row is None:
            raise JournalError(f"journal: there is no message {number}")
        delivery, time_, sender, trace, staged, data, file, place, size, originals = row
        text = data if file is None else self._get(Spot(file, place, size))
        return HeldMessage(delivery, time_, sender, trace, staged, text, _decode(originals) if originals else ())

    def _get(self, spot: Spot) -> bytes:
        with disk_translated:
            return self._database.texts.get(spot)

    def received(self, number: int) -> int | None:
        with sqlite_translated:
            row = self._db.execute("SELECT time FROM message WHERE number=?", (number,)).fetchone()
        return row[0] if row else None

    def pieces(self, message: HeldMessage) -> Iterator[bytes]:
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
                    spot = self._database.texts.put(data)
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
        self._database.freed = True
        with sqlite_translated:
            self._db.execute("DELETE FROM piece WHERE delivery=?", (delivery,))

    def move(self, entries: Sequence[HeldEntry]) -> None:
        with sqlite_translated:
            self._db.executemany(
                "UPDATE entry SET start=?, lead=?, length=? WHERE number=? AND rank=?",
                [(entry.start, entry.lead, entry.length, entry.number, entry.rank) for entry in entries],
            )

    def set_appended(self, entries: Iterable[HeldEntry]) -> None:
        with sqlite_translated:
            self._db.executemany(
                "UPDATE entry SET appended=1 WHERE number=? AND rank=?",
                [(entry.number, entry.rank) for entry in entries],
            )

    def forget(self, done: Forgotten) -> None:
        messages = [(number,) for number in done.messages]
        self._database.freed = True
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
            return [Pending(HeldEntry(*row[:6]), bool(row[6])) for row in self._db.execute(query)]

    def prune(self, before: int, after: int, limit: int) -> int:
        with sqlite_translated:
            return self._ledger.prune(before, after, limit)

    def drop_stale(self, before: int) -> int:
        query = """SELECT delivery FROM piece WHERE delivery NOT IN (SELECT delivery FROM message)
                   GROUP BY delivery HAVING max(kept)<?"""
        with sqlite_translated:
            stale = self._db.execute(query, (before,)).fetchall()
            self._database.freed = True
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

    def has_room(self) -> bool:
        return self._database.has_room()

    def maintain(self) -> None:
        self._database.maintain()

    def close(self) -> None:
        self._database.close()

    def _take_in(self) -> None:
        if self._database.full:
            raise JournalFull("journal: its disk has too little room left")
