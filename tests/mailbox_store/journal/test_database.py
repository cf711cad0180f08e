"""The database: made, refused where another release wrote it; its errors, its room, and the text files it needs."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailbox_store.config import ConfigError
from mailbox_store.journal.database import BATCH, VERSION, Database, disk_translated, sqlite_translated
from mailbox_store.journal.journal import JournalError, JournalFull
from mailbox_store.journal.sqlite_journal import LARGE
from runtime.telling import Histogram


@pytest.fixture
def opened(folder: Path) -> Iterator[Database]:
    database = Database(str(folder / "journal"), Histogram(), LARGE)
    yield database
    database.close()


@pytest.mark.parametrize("version", [VERSION + 1, VERSION - 1])
def test_a_journal_of_another_release_is_refused_and_left_alone(folder: Path, version: int) -> None:
    path = folder / "journal"
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version={version}")
    database.close()
    with pytest.raises(ConfigError, match=f"another release wrote it .schema {version}, this one knows {VERSION}"):
        Database(str(path), Histogram(), LARGE)
    assert [each.name for each in folder.iterdir()] == ["journal"]


def test_a_database_of_this_version_is_opened_without_a_change(folder: Path) -> None:
    path = str(folder / "journal")
    opened = [Database(path, Histogram(), LARGE) for _ in range(2)]
    assert [each.connection.total_changes for each in opened] == [0, 0]
    told = [each.connection.execute("SELECT name, sql FROM sqlite_master").fetchall() for each in opened]
    assert told[0] == told[1]
    log = Path(path + "-wal").stat().st_size
    opened.append(Database(path, Histogram(), LARGE))
    assert Path(path + "-wal").stat().st_size == log
    for each in opened:
        each.connection.close()


@pytest.mark.parametrize("files", [[], [1], [1, 2, 7], list(range(1, 200))])
def test_the_files_needed_are_those_of_messages_and_of_pieces(opened: Database, files: list[int]) -> None:
    connection = opened.connection
    for place, file in enumerate(files * 3):
        if (file + place) % 2:
            connection.execute("INSERT INTO message VALUES (?, 'a', 1, '', '', 0, '', ?, 0, 9, '')", (place, file))
        else:
            connection.execute("INSERT INTO piece VALUES (?, 0, 9, 1, ?, 0)", (f"d.{place}", file))
    connection.execute("INSERT INTO message VALUES (9999, 'a', 1, '', '', 0, 'small', NULL, NULL, NULL, '')")
    assert opened.files_needed() == set(files)


# ---------------------------------------------------------------- errors


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
    assert type(caught.value) is kind


def test_others_pass() -> None:
    for each in (sqlite_translated, disk_translated):
        with pytest.raises(KeyError), each:
            raise KeyError
        with each:
            pass


# ---------------------------------------------------------------- room


@pytest.mark.parametrize("log", [0, 3_000_000])
def test_without_an_unused_page_the_log_is_to_be_written_back_into_new_ones(
    opened: Database, log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "log_size", lambda: log)
    needed = 2 * BATCH + log
    monkeypatch.setattr(opened, "free", lambda: needed)
    assert opened.has_room()
    monkeypatch.setattr(opened, "free", lambda: needed - 1)
    assert not opened.has_room()


def test_unused_pages_are_room(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    opened.connection.execute("CREATE TABLE held (data)")
    opened.connection.execute("INSERT INTO held VALUES (?)", (bytes(BATCH + 100_000),))
    opened.connection.execute("DELETE FROM held")
    monkeypatch.setattr(opened, "log_size", lambda: 0)
    monkeypatch.setattr(opened, "free", lambda: BATCH)
    assert opened.has_room()
    monkeypatch.setattr(opened, "free", lambda: BATCH - 1)
    assert not opened.has_room()


def test_the_disk_is_asked(opened: Database) -> None:
    assert opened.free() > 0
    assert opened.log_size() == Path(f"{opened.texts._folder}".removesuffix(".texts") + "-wal").stat().st_size > 0
