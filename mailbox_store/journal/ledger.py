"""The ids of what was delivered: what a repeat is known by. A part of the journal's database.

Gives: `Ledger`, used inside the journal's transactions, which tell it how they end.
The ids of messages that the journal holds are in memory; the message's own row is what they are on disk. Once a
message is forgotten its id goes to a table of ids alone, with hundreds of others: its index has the ids of different
sessions in different places, so one by one each id would have a page of it written with its commit.
Fails: with `sqlite3.Error`.
Limits: an id in memory costs some 300 octets.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence


class Ledger:
    """The ids, on the only connection that writes them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # Of the messages that are held, by their number.
        self._held: dict[int, str] = dict(db.execute("SELECT number, delivery FROM message"))
        self._names = set(self._held.values())
        # Those that the transaction under way has put into the table.
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

    def forget(self, messages: Sequence[int]) -> None:
        """Keep the ids of messages that will not be held any more, and still are."""
        # Those that an older release has taken in are there already.
        query = "INSERT OR IGNORE INTO ledger SELECT number, delivery, time FROM message WHERE number=?"
        self._db.executemany(query, [(number,) for number in messages])
        self._forgotten += messages

    def prune(self, before: int, after: int, limit: int) -> int:
        """See `journal.Journal.prune`."""
        query = """DELETE FROM ledger WHERE (kept<? OR kept>?)
                   AND number IN (SELECT number FROM ledger ORDER BY number LIMIT ?)"""
        return self._db.execute(query, (before, after, limit)).rowcount

    def committed(self) -> None:
        """The transaction is on disk."""
        self._drop(self._forgotten)
        self._forgotten = []

    def rolled_back(self, added: Iterable[int]) -> None:
        """Nothing of the transaction was kept.

        :param added: the numbers that were added in it.
        """
        self._drop(added)
        self._forgotten = []

    def _drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._names.discard(self._held.pop(number, ""))
