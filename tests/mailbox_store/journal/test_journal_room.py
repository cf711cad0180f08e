"""Room for a transaction, for the log of it, and for what is written back: unused pages count, and nothing twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailbox_store.journal.journal_room import BATCH, Room


@pytest.fixture
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(folder / "db", isolation_level=None)
    made.execute("CREATE TABLE held (data)")
    yield made
    made.close()


@pytest.mark.parametrize("log", [None, 3_000_000])
def test_without_an_unused_page_the_log_is_to_be_written_back_into_new_ones(
    database: sqlite3.Connection, folder: Path, log: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if log:
        (folder / "log").write_bytes(bytes(log))
    room = Room(database, str(folder), str(folder / "log"))
    assert room.log_size() == (log or 0)
    needed = 2 * BATCH + (log or 0)
    monkeypatch.setattr(room, "free", lambda: needed)
    assert room.is_enough()
    monkeypatch.setattr(room, "free", lambda: needed - 1)
    assert not room.is_enough()


def test_unused_pages_are_room(database: sqlite3.Connection, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(database, str(folder), str(folder / "log"))
    database.execute("INSERT INTO held VALUES (?)", (bytes(BATCH + 100_000),))
    database.execute("DELETE FROM held")
    monkeypatch.setattr(room, "free", lambda: BATCH)
    assert room.is_enough()
    monkeypatch.setattr(room, "free", lambda: BATCH - 1)
    assert not room.is_enough()


def test_the_disk_is_asked(database: sqlite3.Connection, folder: Path) -> None:
    assert Room(database, str(folder), "none").free() > 0
