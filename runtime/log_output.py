"""Where a process's log lines go: a file of its own, which it rotates, or whatever its standard output is.

Gives: an `Output`. `write` takes whole lines from any thread and never waits: neither for a reader of a pipe, a
terminal or a socket that does not read, nor for a disk to have room.
Fails: what cannot be written now waits, up to `_MOST_WAITING` octets, and is tried again with each `write` and each
`catch_up`, after an error of the disk once a second. What has no room to wait is dropped and counted in `lost`; all
that follows is, until what waits is out, so that there is one gap, and a line that tells of it stands in its place.
Limits: of the lines of one `write` it drops all or none. A file takes `MOST_OCTETS` and a write more, and `BACKUPS`
older ones are kept beside it, `.1` the youngest; a file is one process's. A disk that is slow makes the writer slow,
and so may a terminal that is somebody else's, as after su.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

# What supervisord does with the logs of what it runs: "10MB", and so many backups.
MOST_OCTETS = 10 * 1024 * 1024
BACKUPS = 3
# The conversations of some thousand messages, and the most that a pipe may hold (fs.pipe-max-size, pipe(7)).
_MOST_WAITING = 1024 * 1024
# Given to the system at a time, at most: what a pipe holds that nobody has made larger.
_PORTION = 64 * 1024
# A failed write may cost a journaling file system a commit.
_ERROR_PAUSE = 1.0
# At the end of the process what waits has this long, in seconds, to be read.
_LAST_SECONDS = 1.0
_LAST_LOOK = 0.01
_BEHIND = "whoever reads them does not keep up"

# Writes some octets or all, and says how many; BlockingIOError where it would have to wait.
_Write = Callable[[bytes | bytearray], int]


class Output:
    """The log's way out of this process.

    :param gap: makes the line that says how many lines were lost, and why.
    :param path: the file to write; empty: the first of `standard`, as it is.
    :param standard: the descriptors of standard output and error. A file takes their place: what else is said there,
        as by an interpreter that crashes, is found in the log.
    :raises OSError: the file cannot be opened, or is no plain file.
    """

    def __init__(self, gap: Callable[[int, str], bytes], path: str = "", standard: Sequence[int] = (1, 2)) -> None:
        # Lines that were dropped, since the start.
        self.lost = 0
        self._gap_line = gap
        self._lock = threading.Lock()
        # What was given and not looked at yet: lines, and how many.
        self._given: deque[tuple[bytes, int]] = deque()
        self._waiting = bytearray()
        # Lines that were dropped since the latest that was not.
        self._gap = 0
        # Why the latest try did not write all, and when an error was the reason.
        self._why = _BEHIND
        self._failed = float("-inf")
        self._write: _Write = _File(path, standard).write if path else _stream(standard)

    def write(self, lines: bytes, count: int = 1) -> None:
        """Write lines, each with its end: now, or as soon as they can be.

        :param count: how many there are.
        """
        self._given.append((lines, count))
        self._work()

    def catch_up(self) -> None:
        """Try again to write what waits. Call it about once a second."""
        if self._waiting:
            self._work()

    def close(self) -> None:
        """Wait a moment for a reader to take what waits; call it at the end of the process."""
        deadline = time.monotonic() + _LAST_SECONDS
        self.catch_up()
        while self._waiting and self._why is _BEHIND and time.monotonic() < deadline:
            time.sleep(_LAST_LOOK)
            self.catch_up()

    def _work(self) -> None:
        # Who finds the lock taken leaves the lines to whoever has it, and that looks again once it is free: another
        # thread, or this one, where a garbage collection in its midst had something to log.
        while self._lock.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._lock.release()
            if not self._given:
                return

    def _drain(self) -> None:
        self._push()
        while self._given:
            lines, count = self._given.popleft()
            if not self._waiting:
                self._waiting += lines[self._try(lines) :]
            elif self._gap or len(self._waiting) + len(lines) > _MOST_WAITING:
                self._gap += count
                self.lost += count
            else:
                self._waiting += lines

    def _push(self) -> None:
        while self._waiting:
            del self._waiting[: self._try(self._waiting)]
            if self._waiting:
                return
            if self._gap:
                self._waiting += self._gap_line(self._gap, self._why)
                self._gap = 0

    def _try(self, octets: bytes | bytearray) -> int:
        """Write as much as can be written now; gives how much that was."""
        if time.monotonic() - self._failed < _ERROR_PAUSE:
            return 0
        sent = 0
        try:
            while sent < len(octets):
                sent += self._write(octets[sent : sent + _PORTION])
        except BlockingIOError:
            self._why = _BEHIND
        except OSError as error:
            self._why, self._failed = error.strerror or str(error), time.monotonic()
        return sent


class _File:
    """A log file, which is rotated where it has become large and more is to be written."""

    def __init__(self, path: str, standard: Sequence[int]) -> None:
        self._path = Path(path)
        self._standard = standard
        self._descriptor = -1
        self._size = 0
        self._open()

    def write(self, octets: bytes | bytearray) -> int:
        if self._size >= MOST_OCTETS:
            # What cannot be rotated is written all the same, and the next try is after as many octets more.
            self._size = 0
            with suppress(OSError):
                self._rotate()
        sent = os.write(self._descriptor, octets)
        self._size += sent
        return sent

    def _rotate(self) -> None:
        files = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, BACKUPS + 1))]
        for younger, older in reversed(list(pairwise(files))):
            with suppress(FileNotFoundError):
                younger.replace(older)
        self._open()

    def _open(self) -> None:
        # Not to wait for the other end, should it be a named pipe.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a plain file")
        self._size = status.st_size
        # A process that was killed may have left half a line.
        if self._size and os.pread(descriptor, 1, self._size - 1) != b"\n":
            with suppress(OSError):
                self._size += os.write(descriptor, b"\n")
        for number in self._standard:
            os.dup2(descriptor, number)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor


def _stream(standard: Sequence[int]) -> _Write:
    """Writes to a descriptor, whatever it is, without ever waiting.

    The flag for that, O_NONBLOCK, must not be set: whoever shares the descriptor, as a shell does its terminal, would
    have it too. A second opening of the same pipe or terminal has flags of its own.
    """
    descriptor = standard[0] if standard else os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return partial(os.write, descriptor)
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        opened = os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:
        return partial(_write_where_there_is_room, descriptor)
    # A reader that is behind for a moment, as an engine that copies lines may be, finds them in the pipe, and finds
    # them there too when this process has been killed. What is no pipe has no such size.
    with suppress(OSError):
        fcntl.fcntl(opened, fcntl.F_SETPIPE_SZ, _MOST_WAITING)
    return partial(os.write, opened)


def _write_where_there_is_room(descriptor: int, octets: bytes | bytearray) -> int:
    """For what cannot be opened anew, such as a socket.

    Where poll(2) says that it can be written, a pipe has room for PIPE_BUF octets (pipe(7)), and a socket for more.
    """
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    if not ready.poll(0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.write(descriptor, octets[: select.PIPE_BUF])
