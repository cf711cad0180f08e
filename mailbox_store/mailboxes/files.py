"""The one narrow layer through which the store touches mailbox files.

Everything that reaches them is an operation of `Files` or `Handle`, so that tests can record writes and fsyncs,
rebuild what a crash could leave, and inject errors. `DiskFiles` is the real one.

Fails: with OSError. A file whose owner may not write it is refused for root too, who could: people take the write
permission from a mailbox to have it left alone.
Limits: a mailbox that is a symbolic link is followed, for its user made it; something else than a regular file is
refused. Locks are advisory, as all of Unix's: a program that writes without one is met by checks, not by the lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mail.users import SUFFIX
from mailbox_store.journal.durable import Names, sync_path

# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid; whole file, l_pid 0 as OFD locks want it.
_FLOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_BUSY = frozenset({errno.EACCES, errno.EAGAIN})


class Handle(Protocol):
    """One open mailbox file. Closing it gives its lock back, and may give an error of what was written before."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None: ...

    def lock(self) -> bool:
        """Take the kernel's write lock without waiting; false where another program holds one."""
        ...

    def stands(self) -> bool:
        """Is this still the file that the mailbox's name stands for? Programs replace files, lock or no lock.

        :raises OSError: where that cannot be seen.
        """
        ...

    def size(self) -> int: ...

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` octets; fewer only at the end of the file."""
        ...

    def append(self, data: bytes | memoryview) -> int:
        """Write at the end, wherever that is by now; gives the octets written, which may be fewer."""
        ...

    def write_at(self, offset: int, data: bytes | memoryview) -> int: ...

    def truncate(self, size: int) -> None: ...


class Files(Protocol):
    """The folder of mailboxes; `mailbox` is a mailbox's name, never a path."""

    def open(self, mailbox: str) -> Handle:
        """Open for reading and writing; made if it is not there."""
        ...

    def look(self, mailbox: str, *, make: bool) -> None:
        """See that it could be opened; nothing is written, and no other program notices.

        :param make: whether it is made if it is not there.
        :raises OSError: where it could not.
        """
        ...

    def missing(self, mailboxes: Iterable[str]) -> list[str]:
        """Those that have no file."""
        ...

    def names(self) -> list[str]:
        """The mailboxes that have a file."""
        ...

    def create(self, mailboxes: Iterable[str]) -> None:
        """Make an empty file for each that has none by now; they are durable then."""
        ...

    def sync(self, mailbox: str) -> None:
        """Return once the file's content is on disk, or at once where it is gone."""
        ...

    def sync_folder(self) -> None:
        """Return once the names of the folder's files are on disk."""
        ...

    def free_space(self) -> int:
        """Octets that may still be written."""
        ...


class DiskHandle:
    """A mailbox file on a disk."""

    def __init__(self, fd: int, path: str, status: os.stat_result) -> None:
        self._fd = fd
        self._path = path
        self._inode = status.st_dev, status.st_ino

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def lock(self) -> bool:
        try:
            try:
                # A lock of the open file: unlike POSIX's it stands when another descriptor of the file is closed.
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _FLOCK)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise
        return True

    def stands(self) -> bool:
        try:
            status = os.stat(self._path)  # noqa: PTH116  # a Path would cost more than the call
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self._inode == (status.st_dev, status.st_ino)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, offset: int, count: int) -> bytes:
        data = os.pread(self._fd, count, offset)
        while 0 < len(data) < count:
            more = os.pread(self._fd, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def append(self, data: bytes | memoryview) -> int:
        return os.write(self._fd, data)

    def write_at(self, offset: int, data: bytes | memoryview) -> int:
        # pwrite on a descriptor with O_APPEND would append (open(2), BUGS of pwrite(2)).
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
        try:
            return os.pwrite(self._fd, data, offset)
        finally:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)


class DiskFiles:
    """A folder of mailbox files.

    :param mode: the permissions of files that are made here; the umask may take some of them away.
    """

    def __init__(self, folder: str | Path, mode: int = 0o600) -> None:
        self._folder = str(folder)
        self._names = Names(folder)
        self._mode = mode
        self._is_root = os.geteuid() == 0

    def open(self, mailbox: str) -> DiskHandle:
        # O_NONBLOCK: what is not a regular file must be refused, not waited for.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        path = self._path(mailbox)
        fd = os.open(path, flags, self._mode)
        try:
            status = os.fstat(fd)
            self._check(status)
        except OSError:
            os.close(fd)
            raise
        return DiskHandle(fd, path, status)

    def look(self, mailbox: str, *, make: bool) -> None:
        path = self._path(mailbox)
        try:
            status = os.stat(path)  # noqa: PTH116  # a Path would cost more than the call
        except FileNotFoundError:
            if not make:
                return
        else:
            self._check(status)
            if os.access(path, os.R_OK | os.W_OK):
                return
        # It has to be made; or opening it tells why it cannot be.
        self.open(mailbox).close()

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        if self._is_root and not status.st_mode & stat.S_IWUSR:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    def missing(self, mailboxes: Iterable[str]) -> list[str]:
        with os.scandir(self._folder) as entries:
            there = {entry.name for entry in entries}
        return [mailbox for mailbox in mailboxes if mailbox + SUFFIX not in there]

    def names(self) -> list[str]:
        with os.scandir(self._folder) as entries:
            return [entry.name.removesuffix(SUFFIX) for entry in entries if entry.name.endswith(SUFFIX)]

    def create(self, mailboxes: Iterable[str]) -> None:
        for mailbox in mailboxes:
            with suppress(FileExistsError):
                # One system call where open and close are two: 20 µs for each of perhaps 100,000 users.
                os.mknod(self._path(mailbox), stat.S_IFREG | self._mode)
        self.sync_folder()

    def sync(self, mailbox: str) -> None:
        sync_path(self._path(mailbox), missing_ok=True)

    def sync_folder(self) -> None:
        self._names.sync()

    def free_space(self) -> int:
        space = os.statvfs(self._folder)
        return space.f_bavail * space.f_frsize

    def _path(self, mailbox: str) -> str:
        return f"{self._folder}/{mailbox}{SUFFIX}"
