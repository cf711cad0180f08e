"""What makes a file, or the names in a folder, outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def sync_path(path: str | Path, *, missing_ok: bool = False) -> None:
    """Return once a file's content, or the names in a folder, are on disk.

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
