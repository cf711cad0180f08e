"""The users file on disk: read at start, watched while the store runs.

A thread looks at the file's status every `_INTERVAL`. If the file has changed, it is read at the next look. It counts
if it has not changed again since, because otherwise it may be half of a copy that is being written. Then the new
users' mailboxes are made, and the new list replaces the old one in one assignment. The same is done if another file
has the name by then, as with an editor that saves without a pause. If the file never rests, the entries that two
looks in a row have found are added to the list. Nobody is dropped until the file rests, because a missing entry may
be about to be written.
No library watches the file: the kernel could not say when a writer has finished, so a second look would still be
needed, and a network file system reports nothing at all. A look costs one system call.

If an edit breaks a rule, or the file is gone, that is reported, and the old list stays. What cannot be read or made
for another reason is tried again.

Fails: at start with ConfigError, later with log lines only, one for each reason.
Limits: a change that leaves size, inode and modification time (to the clock's tick) as they were is not seen. A
writer that rests for longer than `_INTERVAL` in the middle of the file has its half taken for the whole. What breaks
a rule in a file that never rests is not reported.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

from mailbox_store.config import ConfigError
from mailbox_store.mailboxes.files import Files
from mailbox_store.metrics import Totals
from mailbox_store.users.directory import Users
from mailbox_store.users.parsing import UsersError, parse_users
from runtime import counted

log = logging.getLogger(__name__)

# A change is taken over within two of it, and what was said before holds for ADDRESS_HOLDS: within a second in all.
_INTERVAL = 0.2
# Files that the start waits for, 0.1 to 0.5 s of it. Were there more to make (the first start of a large site), they
# are made while mail is taken already: a delivery makes the file it needs.
_AT_ONCE = 5_000
# What a change of the file changes: modification time in ns, size, inode.
_Status = tuple[int, int, int]


def _status(of: os.stat_result) -> _Status:
    return of.st_mtime_ns, of.st_size, of.st_ino


def _entries(text: bytes) -> frozenset[bytes]:
    """The lines that could be users."""
    return frozenset(line for line in text.split(b"\n") if line.strip() and not line.lstrip().startswith(b"#"))


class _Sight:
    """The file as a look has found it. It is held open, for another may have its name at the next."""

    def __init__(self, path: Path) -> None:
        # O_NONBLOCK: a pipe has no list, and nobody waits for one.
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self._fd)
        self.status = _status(status)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "Not a regular file", str(path))

    def rests(self) -> bool:
        """Is it as it was?"""
        return _status(os.fstat(self._fd)) == self.status

    def read(self) -> bytes:
        with os.fdopen(self._fd, "rb", closefd=False) as file:
            return file.read()

    def close(self) -> None:
        os.close(self._fd)


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
            self._text = self._path.read_bytes()
            self.current: Users = self._parse(self._text)
        except OSError as error:
            raise ConfigError(f"USERS={path}: {error.strerror}") from None
        except UsersError as error:
            raise ConfigError(str(error)) from None
        # What the last look has found, where it is not what was taken over.
        self._sight: _Sight | None = None
        # The entries of a file that did not rest, as the look before found them.
        self._moving: frozenset[bytes] | None = None
        self._told = ""
        self._known: set[str] = set(self.current.names)
        try:
            missing = files.missing(self.current.mailboxes)
            files.create(missing[:_AT_ONCE])
        except OSError as error:
            raise ConfigError(f"MAILBOXES: {error.filename or 'the folder'}: {error.strerror}") from None
        self._to_create = missing[_AT_ONCE:]
        self._rest_told = False

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
        if self._sight is not None:
            self._sight.close()

    def refresh(self) -> None:
        """Look once, and take over what the look before this one has found, if it is still as it was."""
        sight, self._sight = self._sight, None
        try:
            if sight is not None:
                self._see(sight)
            if self._look() != self._taken:
                self._sight = _Sight(self._path)
        except UsersError as error:
            # Another try would find the same.
            assert sight is not None
            self._taken, self._told, self._moving = sight.status, "", None
            self._tell(str(error))
        except OSError as error:
            self._taken = None
            self._tell(f"{error.filename or self._path}: {error.strerror}")
        finally:
            if sight is not None:
                sight.close()

    def _see(self, sight: _Sight) -> None:
        """Take over a file that rests, and of one that does not what can be told.

        :raises UsersError: where the file breaks a rule.
        :raises OSError: where it cannot be read, or a mailbox cannot be made.
        """
        text = sight.read()
        if sight.rests():
            self._take_over(text)
            self._taken, self._told, self._moving = sight.status, "", None
            self._totals.reloads += 1
            return
        before, self._moving = self._moving, _entries(text)
        new = (self._moving & before if before else frozenset()) - _entries(self._text)
        if new:
            # What breaks a rule may be half of what is right.
            with suppress(UsersError):
                self._take_over(b"\n".join([self._text, *sorted(new)]))

    def _take_over(self, text: bytes) -> None:
        users = self._parse(text)
        missing = self._files.missing(users.mailboxes)
        self._files.create(missing)
        # A delivery that was begun before a user was removed still ends.
        self._known |= users.names
        self.current, self._text = users, text
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
        """Make the mailboxes that the start did not wait for. Those that cannot be made are tried again next time."""
        while self._to_create and not self._stop.is_set():
            try:
                self._files.create(self._to_create[:_AT_ONCE])
            except OSError as error:
                if not self._rest_told:
                    log.error("! not every mailbox file could be made yet: %s", error)  # noqa: TRY400
                self._rest_told = True
                return
            del self._to_create[:_AT_ONCE]

    def _watch(self) -> None:
        self.create_rest()
        while not self._stop.wait(_INTERVAL):
            try:
                self.create_rest()
                self.refresh()
            except Exception:
                log.exception("! could not look at %s", self._path)

    def _look(self) -> _Status:
        return _status(self._path.stat())

    def _parse(self, text: bytes) -> Users:
        return parse_users(text, str(self._path), self._home, self._postmaster)
