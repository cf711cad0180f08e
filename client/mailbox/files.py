"""Mailbox files: finding the one that has an address's mail, and reading it.

Gives: `open_mailbox`, which finds it; `mails`, the messages of an address in it.
Fails: `MailboxError`, in words for a person.
Limits: one message is in memory at a time. The file is only read; the lock that finds its end is given back at once.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import BinaryIO

import click

from ..mail.address import AddressError
from ..mail.mbox import entries
from ..mail.users import MAX_FILE_NAME, SUFFIX, file_name, mailboxes_of
from ..mail.view import StoredMail

# An append takes milliseconds; a lock that is held for longer than this is somebody else's and not waited for.
LOCK_SECONDS = 1.0
_LOCK_RETRY_SECONDS = 0.01
# Enough to find a slip of the finger in a course's list of users, few enough to be quick in any folder.
_NAMES_COMPARED = 5000
_NAMES_TOLD = 5
# Of 1: a letter or two apart, not merely the same domain.
_NEAR = 0.8
# Read at once; a message may be as large as the server takes them.
_PIECE = 1024 * 1024


class MailboxError(click.ClickException):
    """The mailbox cannot be read."""

    exit_code = 1


class MailboxMissing(MailboxError):
    """There is none of that name."""


@dataclass(frozen=True, slots=True)
class MailboxFile:
    """An open mailbox file, up to where its last message was complete.

    `shared`: it is not the address's own, so that mail for others is in it as well.
    """

    file: BinaryIO
    size: int
    shared: bool = False

    def pieces(self, start: int = 0, until: float = inf) -> Iterator[bytes]:
        """What stands in the file from an offset on.

        :param until: when, by the monotonic clock, to stop.
        :raises TimeoutError: that was before the end.
        """
        self.file.seek(start)
        left = self.size - start
        while left > 0 and (octets := self.file.read(min(left, _PIECE))):
            if time.monotonic() > until:
                raise TimeoutError
            left -= len(octets)
            yield octets


def file_names(address: str) -> tuple[str, ...]:
    """The files that the server may put an address's mail in, its own first; the first one that there is has it."""
    return tuple(mailbox + SUFFIX for mailbox in mailboxes_of(address))


def find_file(folder: Path, address: str) -> str:
    """The name of the file that has an address's mail; its own where there is none.

    An address that no file can be named after may still have its mail in that of a catch-all.

    :raises AddressError: no file can be named after it, and no other has its mail.
    """
    own, *others = mailboxes_of(address)
    for mailbox in (own, *others):
        with suppress(AddressError):
            if (folder / (name := file_name(mailbox))).exists():
                return name
    return file_name(own)


def is_there(folder: Path, address: str) -> bool:
    """Whether there is such a file; where one cannot tell, `open_mailbox` says why."""
    try:
        return (folder / find_file(folder, address)).exists()
    except AddressError:  # a catch-all may still come
        return False
    except OSError:
        return True


@contextmanager
def open_mailbox(folder: Path, address: str, until: float = inf) -> Iterator[MailboxFile]:
    """Open the mailbox that has an address's mail (`file_names`) for reading.

    :param until: when, by the monotonic clock, not to wait any more for the end of an append.
    :raises MailboxError: there is none, or it cannot be read.
    """
    own = file_names(address)[0]
    try:
        name = find_file(folder, address)
    except AddressError:
        too_long = f"{folder / own}: {os.strerror(errno.ENAMETOOLONG)}"
        none = f"{address!r} is not the address of a mailbox"
        raise MailboxError(too_long if len(os.fsencode(own)) > MAX_FILE_NAME else none) from None
    except OSError as error:
        raise MailboxError(f"{folder / own}: {error.strerror}") from None
    try:
        # O_NONBLOCK: a FIFO of that name must not stop us; on a file it does nothing.
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MailboxMissing(_missing(folder, name, address)) from None
    except OSError as error:
        raise MailboxError(f"{folder / name}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MailboxError(f"{folder / name} is not a file")
    with os.fdopen(descriptor, "rb") as file:
        yield MailboxFile(file, _complete_size(file, until), shared=name != own)


def _complete_size(file: BinaryIO, until: float) -> int:
    """Where the file ends while nobody is in the middle of an append."""
    deadline = min(time.monotonic() + LOCK_SECONDS, until)
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            # Held by a writer, or the file system has no locks.
            if time.monotonic() < deadline:
                time.sleep(_LOCK_RETRY_SECONDS)
                continue
            return os.fstat(file.fileno()).st_size
        try:
            return os.fstat(file.fileno()).st_size
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN)


def mails(mailbox: MailboxFile, address: str) -> Iterator[StoredMail]:
    """The messages in the mailbox of an address; where it is shared, those that were sent to it."""
    for number, entry in enumerate(entries(mailbox.pieces()), 1):
        mail = StoredMail(number, entry)
        if not mailbox.shared or mail.is_for(address):
            yield mail


def _missing(folder: Path, name: str, address: str) -> str:
    if not folder.is_dir():
        return f"There is no folder {folder}; name the one with the mailboxes with --mailboxes"
    known: list[str] = []
    with suppress(OSError), os.scandir(folder) as files:
        names = (file.name for file in itertools.islice(files, _NAMES_COMPARED))
        known = [known.removesuffix(SUFFIX) for known in names if known.endswith(SUFFIX)]
    wanted = name.removesuffix(SUFFIX)
    near = [each for each in known if each.startswith(f"{wanted}@")][:_NAMES_TOLD]
    near = near or get_close_matches(wanted, known, _NAMES_TOLD, _NEAR)
    hint = f" Is it one of these? {', '.join(near)}" if near else ""
    return f"There is no mailbox {address} in {folder}.{hint}"
