"""Whose files are they? The stack works for the person who typed `make up`, also when that was typed with sudo.

Gives: that person's uid and gid, folders and files that belong to them, and a way to become them for good; `name_of`,
the name of whose a path is.
Fails: `DeployError` with the folder and the reason.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from deploy.telling import EX_CONFIG, DeployError


@dataclass(frozen=True, slots=True)
class Owner:
    """A user and group by number; 0 only where root itself, not sudo, runs the tool."""

    uid: int
    gid: int


def caller() -> Owner:
    """The person at the keyboard: sudo(8) tells who called it in SUDO_UID and SUDO_GID."""
    if os.geteuid() == 0:
        uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
        if uid.isdecimal() and gid.isdecimal():
            return Owner(int(uid), int(gid))
    return Owner(os.geteuid(), os.getegid())


def become(owner: Owner) -> None:
    """Drop what sudo gave, for good, so that every file made from here on is the owner's."""
    if os.geteuid() == 0 and owner.uid != 0:
        os.setgroups([])
        os.setgid(owner.gid)
        os.setuid(owner.uid)


def make_folder(path: Path, owner: Owner, variable: str = "", mode: int = 0o755) -> None:
    """Make the folder if it is missing, and give a new one to its owner. Its parent has to be there.

    :param variable: the setting that named the folder, for the error line.
    :param mode: the permissions of a new folder; an old one keeps its own.
    """
    named = f"{variable}={path}" if variable else str(path)
    if path.is_dir():
        return
    if path.exists():
        raise DeployError(f"{named}: is not a folder", EX_CONFIG)
    if not path.parent.is_dir():
        raise DeployError(f"{named}: there is no folder {path.parent} to make it in", EX_CONFIG)
    try:
        path.mkdir(mode)
        path.chmod(mode)  # whatever the umask is
        give(path, owner)
        # Mail lies below it: it is to outlive a power cut from its first moment.
        _sync(path.parent)
    except OSError as error:
        raise DeployError(f"{named}: cannot make this folder: {error.strerror}", EX_CONFIG) from None


def _sync(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return  # It may be written and not read: then nobody can.
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_open_to_all(path: Path, variable: str) -> None:
    """:raises DeployError: where everybody can write to a folder, and put files of theirs in the place of ours."""
    if path.stat().st_mode & stat.S_IWOTH:
        raise DeployError(
            f"{variable}={path}: everybody can write to it; allow that to nobody else: chmod o-w {path}", EX_CONFIG
        )


def open_lock(path: Path, owner: Owner) -> int:
    """A descriptor of a file to lock, made if it is missing, that nobody else can open: who can open a file, for
    reading alone, can lock it, and keep everybody waiting.

    :raises OSError: where it cannot be made, or is somebody else's.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            os.fchown(descriptor, owner.uid, owner.gid)
        # One that is there already may have another mode.
        os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def name_of(path: Path) -> str:
    """Whose the path is, in a word for people; where even that is not to be seen, "someone else"."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"  # one that this machine has no name for
    except OSError:
        return "someone else"


def give(path: Path, owner: Owner) -> None:
    """Hand a file or folder to its owner; only root can, and only root has to."""
    if os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid)
