"""Mailbox files: finding one, and reading its messages (mboxrd, RFC 4155 appendix A has the family).

Gives: `open_mailbox`, which finds the one that has an address's mail, and `entries`, the messages one after another.
Fails: `MailboxError`, in words for a person. A file that somebody has edited never fails: whatever stands before the
first `From ` line is an entry too, and a missing empty line between two messages is no matter.
Limits: one message is in memory at a time. The file is only read; the lock that finds its end is given back at once.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

import click

from .address import AddressError, fold, parse, quoted

SUFFIX = ".txt"
# An append takes milliseconds; a lock that is held for longer than this is somebody else's and not waited for.
LOCK_SECONDS = 1.0
_LOCK_RETRY_SECONDS = 0.01
# Enough to find a slip of the finger in a course's list of users, few enough to be quick in any folder.
_NAMES_COMPARED = 5000
_NAMES_TOLD = 5
# Of 1: a letter or two apart, not merely the same domain.
_NEAR = 0.8
_QUOTED_FROM = re.compile(rb">+From ")


class MailboxError(click.ClickException):
    """The mailbox cannot be read."""

    exit_code = 1


class NoMailbox(MailboxError):
    """There is none of that name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a mailbox file: its `From ` line (empty if it has none), and its octets, quoting undone."""

    from_line: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class MailboxFile:
    """An open mailbox file, up to where its last message was complete.

    `shared`: it is not the address's own, so that mail for others is in it as well.
    """

    file: BinaryIO
    size: int
    shared: bool = False

    def lines(self, start: int = 0) -> Iterator[bytes]:
        """The lines as they stand in the file, from an offset that begins one."""
        self.file.seek(start)
        left = self.size - start
        while left and (line := self.file.readline(left)):
            left -= len(line)
            yield line


def entries(lines: Iterator[bytes]) -> Iterator[Entry]:
    """The messages of a mailbox.

    :param lines: its lines with their line ends.
    """
    from_line, content = b"", list[bytes]()
    for line in lines:
        if line.startswith(b"From "):
            yield from _entry(from_line, content)
            from_line, content = line.rstrip(b"\r\n"), []
        else:
            content.append(line[1:] if _QUOTED_FROM.match(line) else line)
    yield from _entry(from_line, content)


def _entry(from_line: bytes, content: list[bytes]) -> Iterator[Entry]:
    # The empty line after a message belongs to the mailbox.
    if content and content[-1] in (b"\n", b"\r\n"):
        content.pop()
    if from_line or any(line.strip() for line in content):
        yield Entry(from_line, b"".join(content))


def file_name(address: str) -> str:
    """The name of an address's mailbox file: letter case folded, no quotes that are not needed."""
    return fold(address) + SUFFIX


def file_names(address: str) -> tuple[str, ...]:
    """The files that the server may put an address's mail in; the first one that there is has it.

    Its own, that of the address without `+tag`, the catch-all of its domain, and that of all domains.
    """
    try:
        local, domain = parse(address)
    except AddressError:  # it may still be the name of a file that somebody has made
        return (file_name(address),)
    base = local.partition("+")[0]
    # Of +tag@domain nothing is left.
    others = [f"{quoted(base)}@{domain}"] if base else []
    return tuple(dict.fromkeys(map(file_name, [address, *others, f"*@{domain}", "*@*"])))


def find_file(folder: Path, address: str) -> str:
    """The name of the file that has an address's mail; its own where there is none."""
    own, *others = file_names(address)
    if not (folder / own).exists():
        # The name of a mailbox never leads out of the folder, so what would has none.
        return next((name for name in others if "/" not in name and (folder / name).exists()), own)
    return own


def is_there(folder: Path, address: str) -> bool:
    """Whether there is such a file; where one cannot tell, `open_mailbox` says why."""
    with suppress(OSError):
        return (folder / find_file(folder, address)).exists()
    return True


@contextmanager
def open_mailbox(folder: Path, address: str) -> Iterator[MailboxFile]:
    """Open the mailbox that has an address's mail (`file_names`) for reading.

    :raises MailboxError: there is none, or it cannot be read.
    """
    own = file_name(address)
    if "/" in own or "\0" in own or own.startswith("."):
        raise MailboxError(f"{address!r} is not the address of a mailbox")
    try:
        name = find_file(folder, address)
    except OSError as error:
        raise MailboxError(f"{folder / own}: {error.strerror}") from None
    try:
        # O_NONBLOCK: a FIFO of that name must not stop us; on a file it does nothing.
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NoMailbox(_missing(folder, name, address)) from None
    except OSError as error:
        raise MailboxError(f"{folder / name}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MailboxError(f"{folder / name} is not a file")
    with os.fdopen(descriptor, "rb") as file:
        yield MailboxFile(file, _complete_size(file), shared=name != own)


def _complete_size(file: BinaryIO) -> int:
    """Where the file ends while nobody is in the middle of an append."""
    deadline = time.monotonic() + LOCK_SECONDS
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
