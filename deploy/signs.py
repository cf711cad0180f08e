"""RUN/ready, where each service of a running stack keeps a file that is fresh while it is ready (runtime/vitals.py).

Gives: the folder; `why_no_mail`, what the store says there; and an end of files whose service is gone: one that was
killed does not remove its own.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from deploy.owner import Owner, give

_FOLDER = "ready"
_STORE = "mailbox_store"
# It is written each second. Of one that is older it is not known whether it still holds.
_FRESH_SECONDS = 5.0
# Less is a full disk, on which the store cannot keep its file.
_LEAST_ROOM = 64 * 1024
# In the name of a file: what stands behind it is the container's.
_HOST = "-"


def make_folder(run: Path, owner: Owner, servant: Owner) -> None:
    """A folder that containers of two users can write to, and nobody else.

    :param owner: who the store is.
    :param servant: who the others are; root's are of another user than root.
    """
    folder = run / _FOLDER
    folder.mkdir(exist_ok=True)
    # Root in a container has no power over what is not its own: hence the folder is its own, and the others' group's.
    folder.chmod(0o700 if owner == servant else 0o770)
    give(folder, Owner(owner.uid, servant.gid))


def forget_all(run: Path) -> None:
    """Remove every file: nothing runs."""
    forget_others(run, ())


def forget_others(run: Path, hosts: Collection[str]) -> None:
    """Remove the files of containers that are gone.

    :param hosts: the names, as machines, of those that are there.
    """
    for path in (run / _FOLDER).glob("*"):
        # A service writes beside, then renames: that of one that lives is left alone too.
        if path.name.removesuffix(".new").partition(_HOST)[2] not in hosts:
            path.unlink(missing_ok=True)


def why_no_mail(run: Path) -> str | None:
    """Why a store that answers cannot take mail, as with a full disk; "" where it can, None where it has not said."""
    for path in (run / _FOLDER).glob(f"{_STORE}*"):
        try:
            if time.time() - path.stat().st_mtime < _FRESH_SECONDS:
                return str(json.loads(path.read_bytes()).get("why_not", ""))
        except (OSError, ValueError, AttributeError):
            continue
    try:
        return "no room for mail: the disk of RUN is full" if shutil.disk_usage(run).free < _LEAST_ROOM else None
    except OSError as error:
        return f"the room for mail cannot be seen: {error.strerror}"
