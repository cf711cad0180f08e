"""Is there room for the journal's next transaction, and for writing it back from the log as well?

A log that has filled the disk could neither be written back nor begun anew: the journal would stay full for good.

Gives: `Room`.
Fails: with `sqlite3.Error`, and with JournalError where the disk does not tell.
Limits: of a disk it is seen how much is free, not what a quota allows.
"""

from __future__ import annotations

import os
import sqlite3

from mailbox_store.journal.journal_errors import of_disk

# What one transaction may add: a batch of the store, 8 MiB of mail and mostly no more than 4 MiB over that. Several
# gateways can make it more; one that finds no room then fails, and its questions are tried one by one.
BATCH = 12 * 1024 * 1024


class Room:
    """That of one database.

    :param folder: where it is.
    :param log: the path of its write-ahead log.
    """

    def __init__(self, db: sqlite3.Connection, folder: str, log: str) -> None:
        self._db = db
        self._folder = folder
        self._log = log

    def is_enough(self) -> bool:
        """Whether there is."""
        free = self.free()
        # Nearly always there is room enough if no page of the database were unused, and none need be asked for.
        return free >= 2 * BATCH + self.log_size() or free >= self._needed()

    def _needed(self) -> int:
        page = int(self._db.execute("PRAGMA page_size").fetchone()[0])
        unused = page * int(self._db.execute("PRAGMA freelist_count").fetchone()[0])
        return BATCH + max(0, self.log_size() + BATCH - unused)

    def free(self) -> int:
        """Octets that may still be written."""
        try:
            space = os.statvfs(self._folder)
        except OSError as error:
            raise of_disk(error) from error
        return space.f_bavail * space.f_frsize

    def log_size(self) -> int:
        """Octets of the log."""
        try:
            return os.stat(self._log).st_size  # noqa: PTH116  # a Path would cost more than the call
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise of_disk(error) from error
