"""The users file on disk: read at start, watched while the store runs.

A thread looks at the file's status every `_INTERVAL`. A change that stands still from one look to the next, so that
it is not half of a copy that is being written, is read, parsed, and takes the place of the old list in one
assignment, after the new users' mailboxes were made. An edit that breaks a rule, or a file that is gone, is reported,
and the old list stays. What cannot be read or made for another reason is tried again.

Fails: at start with ConfigError, later with log lines only, one for each reason.
Limits: a change that leaves size, inode and modification time (to the clock's tick) as they were is not seen. A
writer that rests for longer than `_INTERVAL` in the middle of the file has its half taken for the whole.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from mailbox_store.config import ConfigError
from mailbox_store.files import Files
from mailbox_store.metrics import Totals
from mailbox_store.users import Users, UsersError, parse_users
from runtime.words import counted

log = logging.getLogger(__name__)

# A change is taken over within two of it, and the workers remember for a quarter of a second: within a second.
_INTERVAL = 0.2
# Files that the start waits for, 0.1 to 0.5 s of it. Were there more to make (the first start of a large site), they
# are made while mail is taken already: a delivery makes the file it needs.
_AT_ONCE = 5_000
# What a change of the file changes: modification time in ns, size, inode.
_Status = tuple[int, int, int]


class UsersFile:
    """The current list of users, and every mailbox there has been since the start."""

    def __init__(
        self, path: str | Path, files: Files, home: str, postmaster: str, totals: Totals | None = None
    ) -> None:
        """Read the file and make the mailboxes that are missing.

        :param totals: where to count what is read later.
        :raises ConfigError: where the file or the mailbox folder cannot be used.
        """
        self._totals = totals or Totals()
        self._path = Path(path)
        self._files = files
        self._home = home
        self._postmaster = postmaster
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            self._taken: _Status | None = self._look()
            self.current: Users = self._read()
        except OSError as error:
            raise ConfigError(f"USERS={path}: {error.strerror}") from None
        except UsersError as error:
            raise ConfigError(str(error)) from None
        self._seen: _Status | None = self._taken
        self._told = ""
        self._known: set[str] = set(self.current.names)
        try:
            missing = files.missing(self.current.mailboxes)
            files.create(missing[:_AT_ONCE])
        except OSError as error:
            raise ConfigError(f"MAILBOXES: {error.filename or 'the folder'}: {error.strerror}") from None
        self._to_create = missing[_AT_ONCE:]

    def knows(self, mailbox: str) -> bool:
        """Is there such a mailbox, or was there since the start?"""
        return mailbox in self._known

    def watch(self) -> None:
        """Begin to look for changes."""
        self._thread = threading.Thread(target=self._watch, name="users", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> None:
        """Look once, and take over a change that the look before this one has seen already."""
        try:
            before = self._seen
            status = self._seen = self._look()
            if before == status != self._taken:
                self._take_over(status)
        except UsersError as error:
            # Another try would find the same.
            self._taken, self._told = self._seen, ""
            self._tell(str(error))
        except OSError as error:
            self._seen = self._taken = None
            self._tell(f"{error.filename or self._path}: {error.strerror}")

    def _take_over(self, status: _Status) -> None:
        """Read the file and put it in the list's place, unless it changes meanwhile: then the next looks will see it.

        :param status: the file's, when it was last looked at.
        :raises UsersError: where the file breaks a rule.
        :raises OSError: where it cannot be read, or a mailbox cannot be made.
        """
        users = self._read()
        if self._look() != status:
            return
        missing = self._files.missing(users.mailboxes)
        self._files.create(missing)
        # A delivery that was begun before a user was removed still ends.
        self._known |= users.names
        self.current = users
        self._taken, self._told = status, ""
        self._totals.reloads += 1
        log.info(
            "= %s read again: %s, %s",
            self._path,
            counted(len(users.mailboxes), "mailbox", "mailboxes"),
            counted(len(missing), "new file"),
        )

    def _tell(self, what: str) -> None:
        if what != self._told:
            self._told = what
            self._totals.reload_errors += 1
            log.error("! %s; the list as it was stays", what)

    def create_rest(self) -> None:
        """Make the mailboxes that the start did not wait for."""
        for begin in range(0, len(self._to_create), _AT_ONCE):
            if not self._stop.is_set():
                try:
                    self._files.create(self._to_create[begin : begin + _AT_ONCE])
                except OSError as error:
                    log.error("! not every mailbox file could be made: %s", error)  # noqa: TRY400
                    break
        self._to_create = []

    def _watch(self) -> None:
        self.create_rest()
        while not self._stop.wait(_INTERVAL):
            try:
                self.refresh()
            except Exception:
                log.exception("! could not look at %s", self._path)

    def _look(self) -> _Status:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> Users:
        return parse_users(self._path.read_bytes(), str(self._path), self._home, self._postmaster)
