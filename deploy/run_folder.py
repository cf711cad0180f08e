"""What a stack's RUN folder remembers: how it was started, so that `down`, `status` and `logs` need only RUN.

Gives: `Remembered`, saved in RUN/stack.json by `save` and found again by `load`; `exclusive`, which keeps a second
`make up` or `make down` on the same RUN out while one is at work.
Fails: `DeployError` for a folder that another command holds or that has no room for a lock, or a file that is none of
ours.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.errors import DeployError
from deploy.owner import Owner, give, name_of, open_lock

_FILE = "stack.json"
_LOCK = "stack.lock"


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
