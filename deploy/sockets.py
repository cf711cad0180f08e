"""Where the sockets of a stack lie: in RUN, or in a short private folder where RUN's path is too long.

The kernel takes paths of 107 octets for Unix sockets and no more (unix(7): sun_path has 108 with its end). Containers
see the folder in RUN under a path of their own, so there only this machine needs the short one: a link.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from deploy.errors import DeployError
from deploy.owner import Owner, give

_MAX_PATH = 107
# supervisord binds a name with its pid at the end first; pids have up to 7 digits (proc(5), pid_max).
_LONGEST_NAME = "supervisor.sock.1234567"
_PREFIX = "correio-"
_NAME = "sockets"


def make_folder(run: Path) -> Path:
    """A folder that only its user can enter, with a path short enough; `remove_folder` is its end."""
    folder = run / _NAME
    return _short_folder() if _is_long(folder) else _private(folder)


def make_mounted_folder(run: Path, user: Owner, person: Owner) -> Path:
    """RUN/sockets, for containers; `remove_mounted_folder` is its end.

    :param user: who the container is.
    :param person: who connects on this machine: the same, or root.
    :returns: the path to connect by: that of the folder, or of a link to it where that is too long.
    """
    folder = _private(run / _NAME)
    give(folder, user)
    if not _is_long(folder):
        return folder
    short = _short_folder()
    give(short, person)
    (short / _NAME).symlink_to(folder)
    return short / _NAME


def remove_mounted_folder(run: Path, reached: str) -> None:
    """Remove RUN/sockets and the link to it.

    :param reached: the path that `make_mounted_folder` gave; empty: there was none.
    """
    if reached and Path(reached).is_symlink():
        remove_folder(Path(reached).parent)
    remove_folder(run / _NAME)


def _is_long(folder: Path) -> bool:
    return len(os.fsencode(folder / _LONGEST_NAME)) > _MAX_PATH


def _short_folder() -> Path:
    """A new private folder where temporary ones go; in /tmp where TMPDIR is long itself."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700 by its promise
    if _is_long(folder / _NAME):
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    return folder


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        try:
            folder.chmod(0o700)
        except PermissionError:
            raise DeployError(f"{folder}: others can enter it; it must be yours alone (chmod 700)") from None
    return folder


def remove_folder(folder: Path) -> None:
    """Remove the folder and the dead sockets in it."""
    shutil.rmtree(folder, ignore_errors=True)
