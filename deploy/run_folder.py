"""RUN, the folder of all that a running stack needs: what is remembered there, its services' signs, sockets, numbers.

Gives: `Remembered` (stack.json), so that `down`, `status` and `logs` need only RUN; `exclusive`, which keeps a second
`make up` or `make down` out; ready/, where each service keeps a file that is fresh while it is ready
(runtime/vitals.py); the folder of sockets; prometheus-targets.json, which Prometheus reads by itself
(`file_sd_configs`).
Fails: `DeployError` for a folder that another command holds, that others can enter, or that has no room for a lock,
or a file that is none of ours.
Limits: the targets are as true as the last `make up` or `make restart-…`. A container that its engine starts again by
itself nearly always keeps its address.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.owner import Owner, give, name_of, open_lock
from deploy.telling import DeployError

_FILE = "stack.json"
_LOCK = "stack.lock"
_READY = "ready"
_STORE = "mailbox_store"
# It is written each second. Of one that is older it is not known whether it still holds.
_FRESH_SECONDS = 5.0
# Less is a full disk, on which the store cannot keep its file.
_LEAST_ROOM = 64 * 1024
# In the name of a file: what stands behind it is the container's.
_HOST = "-"
_MAX_PATH = 107
# supervisord binds a name with its pid at the end first; pids have up to 7 digits (proc(5), pid_max).
_LONGEST_NAME = "supervisor.sock.1234567"
_PREFIX = "correio-"
_SOCKETS = "sockets"
TARGETS = "prometheus-targets.json"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A stack that was started here."""

    mode: str
    # The name of its containers and networks; empty with processes.
    project: str
    # The folder of its sockets; with containers it has one socket, the feed.
    sockets: str
    # The address that this machine reaches it at.
    host: str
    port: int
    # How long one service may take to stop, in seconds.
    stop_seconds: int
    # `StackSettings.remembered()`
    settings: dict[str, str]


def load(run: Path) -> Remembered | None:
    """What was saved in this RUN folder; None where nothing was."""
    try:
        text = (run / _FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise DeployError(f"RUN={run}: you may not look, it is {name_of(run)}'s") from None
    except OSError as error:
        raise DeployError(f"RUN={run}: cannot read {_FILE}: {error.strerror}") from None
    try:
        return Remembered(**json.loads(text))
    except (ValueError, TypeError):
        raise DeployError(f"RUN={run}: {_FILE} in it is not readable; stop what runs there and remove it") from None


def save(run: Path, remembered: Remembered, owner: Owner) -> None:
    """Write it beside and rename, so that a reader never sees half."""
    beside = run / (_FILE + ".new")
    beside.write_text(json.dumps(asdict(remembered), indent=1) + "\n", encoding="utf-8")
    give(beside, owner)
    beside.replace(run / _FILE)


def forget(run: Path) -> None:
    (run / _FILE).unlink(missing_ok=True)


def differences(before: dict[str, str], asked: dict[str, str]) -> list[str]:
    """What is asked for and differs from what runs, one text a setting."""
    return [
        f"{name} is {before.get(name) or 'unset'}, not {asked.get(name) or 'unset'}"
        for name in sorted(before.keys() | asked.keys())
        if before.get(name, "") != asked.get(name, "")
    ]


@contextmanager
def exclusive(run: Path, owner: Owner) -> Iterator[None]:
    """Hold RUN for one command at a time; the kernel drops the lock with the process, however that ends."""
    try:
        lock = open_lock(run / _LOCK, owner)
    except PermissionError as error:
        raise DeployError(f"RUN={run}: {error.strerror}: it belongs to someone else") from None
    except OSError as error:
        raise DeployError(f"RUN={run}: cannot make {_LOCK} in it: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeployError(f"RUN={run}: another make up or make down is at work there") from None
        yield
    finally:
        os.close(lock)


def make_ready_folder(run: Path, owner: Owner, servant: Owner) -> None:
    """A folder that containers of two users can write to, and nobody else.

    :param owner: who the store is.
    :param servant: who the others are; root's are of another user than root.
    """
    folder = run / _READY
    folder.mkdir(exist_ok=True)
    # Root in a container has no power over what is not its own: hence the folder is its own, and the others' group's.
    folder.chmod(0o700 if owner == servant else 0o770)
    give(folder, Owner(owner.uid, servant.gid))


def forget_signs(run: Path, but_of: Collection[str] = ()) -> None:
    """Remove the files of what is gone.

    :param but_of: the names, as machines, of the containers that are there; none: nothing runs.
    """
    for path in (run / _READY).glob("*"):
        # A service writes beside, then renames: that of one that lives is left alone too.
        if path.name.removesuffix(".new").partition(_HOST)[2] not in but_of:
            path.unlink(missing_ok=True)


def hindrance(run: Path) -> str | None:
    """Why a store that answers cannot take mail, as with a full disk; "" where it can, None where it has not said."""
    for path in (run / _READY).glob(f"{_STORE}*"):
        try:
            if time.time() - path.stat().st_mtime < _FRESH_SECONDS:
                return str(json.loads(path.read_bytes()).get("why_not", ""))
        except (OSError, ValueError, AttributeError):
            continue
    try:
        return "no room for mail: the disk of RUN is full" if shutil.disk_usage(run).free < _LEAST_ROOM else None
    except OSError as error:
        return f"the room for mail cannot be seen: {error.strerror}"


def make_sockets(run: Path) -> Path:
    """A folder that only its user can enter, with a path short enough; `remove_sockets` is its end."""
    folder = run / _SOCKETS
    return _short_folder() if _is_long(folder) else _private(folder)


def make_mounted_sockets(run: Path, user: Owner, person: Owner) -> Path:
    """RUN/sockets, for containers; `remove_mounted_sockets` is its end.

    :param user: who the container is.
    :param person: who connects on this machine: the same, or root.
    :returns: the path to connect by: that of the folder, or of a link to it where that is too long.
    """
    folder = _private(run / _SOCKETS)
    give(folder, user)
    if not _is_long(folder):
        return folder
    short = _short_folder()
    give(short, person)
    (short / _SOCKETS).symlink_to(folder)
    return short / _SOCKETS


def remove_mounted_sockets(run: Path, reached: str) -> None:
    """Remove RUN/sockets and the link to it.

    :param reached: the path that `make_mounted_sockets` gave.
    """
    if Path(reached).is_symlink():
        remove_sockets(Path(reached).parent)
    remove_sockets(run / _SOCKETS)


def _is_long(folder: Path) -> bool:
    return len(os.fsencode(folder / _LONGEST_NAME)) > _MAX_PATH


def _short_folder() -> Path:
    """A new private folder where temporary ones go; in /tmp where TMPDIR is long itself."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700 by its promise
    if _is_long(folder / _SOCKETS):
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


def remove_sockets(folder: Path) -> None:
    """Remove the folder and the dead sockets in it."""
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Target:
    """One process that tells its numbers: `instance` is its name in `make status`."""

    address: str
    port: int
    service: str
    instance: str


def targets_of_processes(metrics_port: int, workers: int) -> list[Target]:
    """The gateway, the store and each worker, from METRICS_PORT on; none where that is 0."""
    if not metrics_port:
        return []
    return [
        Target(LOOPBACK, metrics_port, "gateway", "gateway"),
        Target(LOOPBACK, metrics_port + 1, "mailbox_store", "mailbox_store"),
        *(
            Target(LOOPBACK, metrics_port + 1 + number, "session_worker", f"session_worker_{number}")
            for number in range(1, workers + 1)
        ),
    ]


def save_targets(run: Path, targets: Iterable[Target], owner: Owner) -> None:
    """Write the list, beside and renamed, so that Prometheus never reads half; no targets, no file."""
    groups = [
        {
            "targets": [f"{target.address}:{target.port}"],
            "labels": {"service": target.service, "instance": target.instance},
        }
        for target in targets
    ]
    if not groups:
        forget_targets(run)
        return
    beside = run / f"{TARGETS}.new"
    beside.write_text(json.dumps(groups, indent=1) + "\n", encoding="utf-8")
    # Prometheus is another user, as a rule.
    beside.chmod(0o644)
    give(beside, owner)
    beside.replace(run / TARGETS)


def forget_targets(run: Path) -> None:
    (run / TARGETS).unlink(missing_ok=True)
