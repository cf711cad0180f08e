"""Whether other programs have changed the folder of mailboxes, as the kernel tells it: inotify(7).

What counts is what could make a mailbox unwritable: permissions and owners of a file there, or of the folder itself,
and a file that is removed, or renamed from, to or within it. What is written into a mailbox does not count, nor does
a new file: it takes no mailbox's place, for a mailbox that was looked at has its file.

Fails: never. Where the kernel cannot tell, for the file system is another host's as well, or where no more watches
are to be had, the log says so and `watching` is false.
Limits: it sees the folder's own files. What a symbolic or a hard link leads to can be changed elsewhere, see
`Files.in_folder`. Nobody tells of chattr(1), permissions of a folder above, a file system that is made read-only.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import sys
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# <sys/inotify.h>
_ATTRIB, _MOVED_FROM, _MOVED_TO, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x4, 0x40, 0x80, 0x200, 0x400, 0x800
_ONLYDIR = 0x0100_0000
_WHAT_COUNTS = _ATTRIB | _MOVED_FROM | _MOVED_TO | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_EVENTS = 64 * 1024
# <linux/magic.h>: file systems of one host alone: ext4, xfs, btrfs, f2fs, zfs, overlayfs, tmpfs. Of others (NFS, 9p,
# FUSE, virtiofs) the kernel here does not see every change.
_LOCAL = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x2FC12FC1, 0x794C7630, 0x01021994})
# More than struct statfs has anywhere; its first field, a long, is the file system's number.
_STATFS_OCTETS = 512


class FolderWatch:
    """A folder that is watched from `renew` on."""

    def __init__(self, folder: str | Path) -> None:
        self.watching = False
        self._folder = str(folder)
        # The folder that is watched: device and inode. Another may have its name by now, renamed or mounted there.
        self._inode: tuple[int, int] | None = None
        self._wd = -1
        self._fd = -1
        self._told = ""
        self._why_not = ""
        try:
            self._libc: Any = ctypes.CDLL(None, use_errno=True)
            self._init = self._libc.inotify_init1
        except (AttributeError, OSError, TypeError) as error:
            self._why_not = str(error)

    def renew(self) -> None:
        """See that it is the folder of this name that is watched."""
        self._inode = self._look()
        why_not = self._why_not or self._add()
        self.watching = not why_not
        told = why_not or "watched"
        if told != self._told:
            self._told = told
            if why_not:
                log.warning("! %s is not watched, mailboxes are looked at more often: %s", self._folder, why_not)
            else:
                log.info("= %s is watched", self._folder)

    def changed(self) -> bool:
        """Has anything been changed since this was last asked? Without a watch nothing is known to have been."""
        if self._fd < 0:
            return False
        try:
            return bool(os.read(self._fd, _EVENTS))
        except BlockingIOError:
            return self._look() != self._inode

    def close(self) -> None:
        """Watch no more."""
        self.watching = False
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _look(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._folder)  # noqa: PTH116  # a Path would cost more than the call
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _add(self) -> str:
        """Have the kernel watch; gives why it does not."""
        if self._fd < 0:
            self._fd = self._init(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            return f"fs.inotify.max_user_instances: {os.strerror(ctypes.get_errno())}"
        path = os.fsencode(self._folder)
        status = ctypes.create_string_buffer(_STATFS_OCTETS)
        if self._libc.statfs(path, status) < 0:
            return os.strerror(ctypes.get_errno())
        number = int.from_bytes(status.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
        if number not in _LOCAL:
            return f"its file system, 0x{number:x}, can be changed from elsewhere"
        # The same folder again has the same number.
        wd = self._libc.inotify_add_watch(self._fd, path, _WHAT_COUNTS)
        if wd < 0:
            error = ctypes.get_errno()
            return "fs.inotify.max_user_watches are in use" if error == errno.ENOSPC else os.strerror(error)
        if self._wd not in (-1, wd):
            self._libc.inotify_rm_watch(self._fd, self._wd)
        self._wd = wd
        return ""
