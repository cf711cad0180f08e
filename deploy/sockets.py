"""Where the sockets of a stack of processes lie: in RUN, or in a short private folder where RUN's path is too long.

The kernel takes paths of 107 octets for Unix sockets and no more (unix(7): sun_path has 108 with its end).
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from deploy.errors import DeployError

_MAX_PATH = 107
# supervisord binds a name with its pid at the end first; pids have up to 7 digits (proc(5), pid_max).
_LONGEST_NAME = "supervisor.sock.1234567"
_PREFIX = "correio-"


def make_folder(run: Path) -> Path:
    """A folder that only its user can enter, with a path short enough; `remove_folder` is its end."""
    folder = run / "sockets"
    if len(os.fsencode(folder / _LONGEST_NAME)) > _MAX_PATH:
        return Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700 by its promise
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
