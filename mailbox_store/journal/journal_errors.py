"""Errors of SQLite, and of the system where the journal's files are concerned, become the journal's.

Gives: `sqlite_translated` and `disk_translated`, for a `with` each; `of_disk`, for one error.
"""

from __future__ import annotations

import sqlite3

from mailbox_store.journal.durable import FULL
from mailbox_store.journal.journal import JournalError, JournalFull


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
            raise of_disk(error) from error


def of_disk(error: OSError) -> JournalError:
    """The journal's error for one of the system."""
    return (JournalFull if error.errno in FULL else JournalError)(f"journal: {error}")


sqlite_translated = _OfSqlite()
disk_translated = _OfDisk()
