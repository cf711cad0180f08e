"""A whole server for one program alone: a stack of its own on a free port of 127.0.0.1.

Gives: `PrivateStack`, to be used in a with block: inside it mail is taken.
Fails: `StackError`, as `OwnedStack.start`.
Limits: its mail lives in a temporary folder and goes with it. One worker is enough for tests.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from ..stack.owned_stack import OwnedStack, StackError

# Of the environment; a stack is to be the same wherever it is started.
_INHERITED = ("HOME", "LANG", "PATH", "PYTHONPATH", "TMPDIR", "TZ")
# unix(7): the path of a socket has at most 107 octets; the longest here ends in /run/sockets/supervisor.sock.1234567.
_LONGEST_FOLDER = 70
_STOP_SECONDS = 10.0
# Ports that somebody else took between the look for a free one and the gateway's start.
_TRIES = 5


class PrivateStack:
    """One gateway, one worker and one store.

    :param users: addresses, one a user; a line of the users file each.
    :param settings: further settings, as environment variables.
    """

    def __init__(self, users: Iterable[str], settings: dict[str, str] | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self._settings = settings or {}
        # Whoever is no user has a mailbox all the same.
        self.takes_unknown = self._settings.get("UNKNOWN") == "create"
        self._users = list(users)
        self._stack: OwnedStack | None = None

    def __enter__(self) -> PrivateStack:
        self.folder = _short_folder()
        self.mailboxes = self.folder / "mailboxes"
        self.users_file = self.folder / "users.txt"
        try:
            self.users_file.write_text("".join(f"{user}\n" for user in self._users), "utf-8")
            self._start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process, the gateway first, and remove the folder."""
        assert self._stack is not None
        self._stack.finish(_STOP_SECONDS)
        self._stack.let_go()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, service: str) -> str:
        """What a service has logged so far."""
        path = self.folder / "run" / "logs" / f"{service}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _start(self) -> None:
        for _ in range(_TRIES):
            self.port = free_port()
            self._stack = OwnedStack(self.folder / "run", self._environment(), self._settings)
            try:
                self._stack.start()
            except StackError as error:
                # As the look before the start says it, or the gateway itself.
                taken = (f"PORT={self.port}: in use", f"cannot listen on {self.host}:{self.port}: ")
                if not any(said in str(error) for said in taken):
                    raise
            else:
                return
        raise StackError("no port was free for long enough")

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {
            **inherited,
            "WORKERS": "1",
            # Clients that a test forgot need not be waited for.
            "SHUTDOWN_SECONDS": "0.5",
            **self._settings,
            "BIND": self.host,
            "PORT": str(self.port),
            "USERS": str(self.users_file),
            "MAILBOXES": str(self.mailboxes),
        }


def _short_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="correio-")
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="correio-", dir="/tmp")
    return Path(folder)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
