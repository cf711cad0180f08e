"""What makes a file, or the names in a folder, outlive a power cut.

The kernel reports a failed sync once. After that it treats the data that it could not write as written: it shows them
to this process and the next, until it happens to forget them, and another sync has nothing to do. So whatever may
have met such an error is written again before it is synced: a file by `rewrite`, the names in a folder by `Names`.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

# The errors of a disk without room; all others are its failures.
FULL = (errno.ENOSPC, errno.EDQUOT)
# Read and written at a time.
_PORTION = 1024 * 1024
# A name that is made and removed to have a folder changed; no reader takes it for mail.
_SCRATCH = ".sync"


def sync_path(path: str | Path, *, missing_ok: bool = False) -> None:
    """Return once a file's content, or the names in a folder, are on disk, if no sync of them has failed before.

    :param missing_ok: whether nothing has to be done where there is neither.
    :raises OSError: where it is missing, or cannot be synced.
    """
    try:
        # O_NONBLOCK: a user may have put something else than a file there, which must not be waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if missing_ok:
            return
        raise
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def rewrite(path: str | Path) -> None:
    """Return once what is read of a file is what its disk has, whatever became of earlier syncs; at once where it is
    missing.

    It is written over with itself, in place: a crash leaves it as it was, and a full disk has room for it.

    :raises OSError: where it cannot be read, written or synced; then nothing may be built on it.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        place = 0
        while part := os.pread(fd, _PORTION, place):
            rest = memoryview(part)
            while rest:
                written = os.pwrite(fd, rest, place)
                place, rest = place + written, rest[written:]
        os.fsync(fd)
    finally:
        os.close(fd)


class Names:
    """The names in one folder; to be used from any thread."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = str(folder)
        # Nobody knows what became of the last sync of an earlier process.
        self._doubted = True
        self._lock = Lock()

    def sync(self) -> None:
        """Return once the names are on disk, whatever became of earlier syncs.

        :raises OSError: where they cannot be synced.
        """
        with self._lock:
            if self._doubted:
                self._change()
            self._doubted = True
            sync_path(self._folder)
            self._doubted = False

    def _change(self) -> None:
        """Have the kernel count the folder as changed."""
        scratch = f"{self._folder}/{_SCRATCH}"
        try:
            os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            os.unlink(scratch)  # noqa: PTH108  # the paths of this module are text
        except OSError as error:
            # A full disk keeps no store from its start. And who may not make a name here has not made one before.
            if error.errno not in (*FULL, errno.EACCES, errno.EPERM, errno.EROFS):
                raise


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder if it is missing; it is on disk then.

    :raises OSError: where it cannot be made, or its name cannot be synced.
    """
    folder.mkdir(mode=mode, exist_ok=True)
    # Who may not read the folder above has not made this one.
    with suppress(PermissionError):
        Names(folder.parent).sync()
