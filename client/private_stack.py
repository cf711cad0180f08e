"""A whole server for one program alone: the three services as its child processes, on a free port of 127.0.0.1.

Gives: `PrivateStack`, to be used in a with block: inside it mail is taken.
Fails: `StackError` in words for a person: the services' libraries are not installed, a setting is wrong, a service
has ended. Then nothing is left running.
Limits: its mail lives in a temporary folder and goes with it. One worker is enough for tests.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

SERVICES = ("mailbox_store", "session_worker", "gateway")
# Of the environment; a stack is to be the same wherever it is started.
_INHERITED = ("HOME", "LANG", "PATH", "TMPDIR", "TZ")
# What the services import; the extra `stack` brings them.
_LIBRARIES = ("zmq", "msgpack", "msgspec", "uvloop", "pydantic_settings", "prometheus_client")
# unix(7): the path of a socket has at most 107 octets; the longest name here is "/gateway".
_LONGEST_FOLDER = 90
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
# Before the first worker is there the gateway lets a client wait; somebody else's server may never answer.
_ANSWER_SECONDS = 2.0
_LOOK = 0.02
# Ports that somebody else took between the look for a free one and the gateway's start.
_TRIES = 5
_LAST_LINES = 20


class StackError(Exception):
    """The private stack cannot be started."""


class _PortTaken(Exception):
    """Somebody else has the port by now."""


def services_folder() -> Path:
    """Where the services' packages are: beside this file once installed, else in the checkout.

    :raises StackError: they are in neither.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "_stack", here.parent):
        if all((folder / service / "__main__.py").is_file() for service in SERVICES):
            return folder
    raise StackError(f"the services are not where they are installed, {here / '_stack'}: install correio again")


class PrivateStack:
    """One gateway, one worker and one store.

    :param users: addresses, one a user; a line of the users file each.
    :param settings: further settings of the services, as environment variables.
    """

    def __init__(self, users: Iterable[str], settings: dict[str, str] | None = None) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self._settings = settings or {}
        self._users = list(users)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> PrivateStack:
        missing = [name for name in _LIBRARIES if find_spec(name) is None]
        if missing:
            raise StackError(f"the server needs {', '.join(missing)}: in correio's checkout, pip install '.[stack]'")
        self._services = services_folder()
        self.folder = _short_folder()
        self.mailboxes = self.folder / "mailboxes"
        self.users_file = self.folder / "users.txt"
        try:
            self.users_file.write_text("".join(f"{user}\n" for user in self._users), "utf-8")
            self._start("mailbox_store")
            self._start("session_worker")
            self._start_gateway()
        except BaseException:
            # There is no mail in it yet: nothing is worth waiting for.
            self.stop(at_once=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, *, at_once: bool = False) -> None:
        """End every process, the gateway first, and remove the folder.

        :param at_once: without letting them finish what they do.
        """
        for service in reversed(SERVICES):
            process = self._processes.pop(service, None)
            if process is None:
                continue
            process.kill() if at_once else process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, service: str) -> str:
        """What a service has logged so far."""
        path = self.folder / f"{service}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _start_gateway(self) -> None:
        for _ in range(_TRIES):
            self.port = _free_port(self.host)
            self._start("gateway")
            try:
                self._wait_until_mail_is_taken()
            except _PortTaken:
                continue
            return
        raise StackError("no port was free for long enough")

    def _wait_until_mail_is_taken(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        # What answers there may be another program's server, which was faster; ours says itself that it has the port.
        while not (self._ready_file("gateway").exists() and takes_mail(self.host, self.port)):
            for service, process in self._processes.items():
                if process.poll() is not None:
                    self._ended(service)
            if time.monotonic() > deadline:
                raise StackError(f"it takes no mail after {_START_SECONDS:g} s\n{self._last_lines()}")
            time.sleep(_LOOK)

    def _ended(self, service: str) -> None:
        said = self.log(service).strip()
        if service == "gateway" and "cannot listen on" in said:
            process = self._processes.pop(service)
            assert process.stdin is not None
            process.stdin.close()
            (self.folder / "gateway.log").unlink()
            raise _PortTaken
        raise StackError("\n".join(said.splitlines()[-_LAST_LINES:]) or f"{service} has ended")

    def _last_lines(self) -> str:
        return "\n".join(line for name in SERVICES for line in self.log(name).splitlines()[-_LAST_LINES:])

    def _start(self, service: str) -> None:
        launcher = Path(__file__).with_name("launch.py")
        with (self.folder / f"{service}.log").open("ab") as log:
            self._processes[service] = subprocess.Popen(
                # -P: the launcher's folder, where our own modules are, is not to be searched for others'.
                [sys.executable, "-P", str(launcher), service],
                cwd=self.folder,
                env=self._environment(service),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the program, which then stops the stack in order
            )

    def _ready_file(self, service: str) -> Path:
        return self.folder / f"{service}.ready"

    def _environment(self, service: str) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        search = [str(self._services), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join(search),
            "DOMAIN": "correio.localhost",
            # Clients that a test forgot need not be waited for.
            "SHUTDOWN_SECONDS": "0.5",
            **self._settings,
            "BIND": self.host,
            "PORT": str(self.port),
            "GATEWAY_ENDPOINT": f"ipc://{self.folder}/gateway",
            "STORE_ENDPOINT": f"ipc://{self.folder}/store",
            "USERS": str(self.users_file),
            "MAILBOXES": str(self.mailboxes),
            "JOURNAL": str(self.folder / "journal" / "journal.sqlite3"),
            "READY_FILE": str(self._ready_file(service)),
        }


def _short_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="correio-")
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="correio-", dir="/tmp")
    return Path(folder)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def takes_mail(host: str, port: int, address: str = "postmaster") -> bool:
    """Whether gateway, worker and store answer, and take mail for this address.

    :param address: by default the one that every server takes (RFC 5321 section 4.5.1).
    """
    try:
        with smtplib.SMTP(host, port, "localhost", _ANSWER_SECONDS) as session:
            session.ehlo()
            begun, _ = session.mail("", [] if address.isascii() else ["SMTPUTF8"])
            return begun == 250 and session.docmd("RCPT", f"TO:<{address}>")[0] == 250
    except (OSError, smtplib.SMTPException):
        return False
