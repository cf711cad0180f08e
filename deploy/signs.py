"""RUN/ready, where each service of a running stack keeps a file that is fresh while it is ready (runtime/vitals.py).

Gives: the folder, and an end of files whose service is gone: one that was killed does not remove its own.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from deploy.owner import Owner, give

_FOLDER = "ready"
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
