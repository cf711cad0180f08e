"""Whatever goes wrong below the journal is one of its two errors, and all else is left alone."""

from __future__ import annotations

import errno
import sqlite3

import pytest

from mailbox_store.journal.journal import JournalError, JournalFull
from mailbox_store.journal.journal_errors import disk_translated, of_disk, sqlite_translated


def test_errors_of_sqlite_are_told_apart() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE full (data)")
    database.execute("PRAGMA max_page_count=3")
    with pytest.raises(JournalFull, match="journal: database or disk is full"), sqlite_translated:
        database.execute("INSERT INTO full VALUES (?)", (bytes(100_000),))
    with pytest.raises(JournalError, match="journal: no such table: none") as caught, sqlite_translated:
        database.execute("SELECT * FROM none")
    assert type(caught.value) is JournalError
    database.close()


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, JournalFull), (errno.EDQUOT, JournalFull), (errno.EIO, JournalError)]
)
def test_errors_of_the_system_are_told_apart(code: int, kind: type[JournalError]) -> None:
    with pytest.raises(JournalError, match="journal: ") as caught, disk_translated:
        raise OSError(code, "why")
    assert type(caught.value) is type(of_disk(OSError(code, "why"))) is kind


def test_others_pass() -> None:
    for each in (sqlite_translated, disk_translated):
        with pytest.raises(KeyError), each:
            raise KeyError
        with each:
            pass
