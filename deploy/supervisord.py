"""supervisord (http://supervisord.org), which keeps the processes of a stack: how it is run and asked, and what it
started, found without it.

`python -m deploy.supervisord` is one whom a full disk does not end, and who hears. What supervisord cannot write to a
log it tells on its standard error. That is a file on the same disk: the telling fails too, and this second error
makes it stop reading what the service says, or ends it; then nobody starts the services again. And it waits for its
descriptors up to a second at a time. Of a signal, that a child has ended or that all is to stop, it would hear only
then: since PEP 475 Python goes on with a wait that a signal has interrupted.

It can die and leave its children. What it started carries CORREIO_RUN, the stack's RUN folder, and so does it itself;
the kernel shows that in /proc.

Gives: `Supervisor`, the states of its programs and the orders to stop or start them, over its Unix socket (XML-RPC,
http://supervisord.org/api.html); `processes_of` and `end_processes` of a RUN folder; `main`.
Fails: `Unreachable` when nobody answers there, or when it refuses an order; `NotAllowed`, which is one, where the
system keeps us from asking.
Limits: log lines that came while there was no room are lost. Where there is no /proc no process is found.
"""

from __future__ import annotations

import fcntl
import http.client
import io
import os
import signal
import socket
import sys
import time
import xmlrpc.client
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# It answers at once or it is not there; while it starts many children a loop of it may take this long.
_TIMEOUT_SECONDS = 5.0
MARK = "CORREIO_RUN"
_POLL_SECONDS = 0.05
# After SIGKILL only a process that hangs in the kernel (a dead disk) is still there after this.
_KILLED_SECONDS = 5.0
# supervisord.conf's minfds: below it supervisord closes what it does not know when it reads its configuration anew.
_FIRST_OF_OURS = 64


class Unreachable(Exception):
    """Nobody answers on the socket."""


class NotAllowed(Unreachable):
    """The socket is somebody else's: whether anybody would answer is not known."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process that supervisord keeps; `state` is its word: RUNNING, STARTING, BACKOFF, EXITED, FATAL, ..."""

    name: str
    group: str
    state: str
    pid: int
    # How long ago this run of it began, in seconds.
    age: int


class Supervisor:
    """The supervisord behind one socket."""

    def __init__(self, path: Path) -> None:
        self._transport = _UnixTransport(path)
        # The host in the URL is never looked up: the transport goes to the socket.
        self._proxy = xmlrpc.client.ServerProxy("http://supervisor", transport=self._transport)

    def pid(self) -> int:
        return int(self._call("getPID"))

    def programs(self) -> list[Program]:
        return [
            Program(
                name=str(each["name"]),
                group=str(each["group"]),
                state=str(each["statename"]),
                pid=int(each["pid"]),
                age=int(each["now"]) - int(each["start"]),
            )
            for each in self._call("getAllProcessInfo")
        ]

    def stop(self, program: Program) -> None:
        """Stop a program; returns at once, `programs` tells when it is STOPPED."""
        self._call("stopProcess", f"{program.group}:{program.name}", False)

    def start(self, program: Program) -> None:
        """Start a program that is stopped; returns at once."""
        self._call("startProcess", f"{program.group}:{program.name}", False)

    def shut_down(self) -> None:
        """Stop every program in order, then end; returns at once."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: str | bool) -> Any:
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except PermissionError as error:
            raise NotAllowed(str(error)) from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise Unreachable(str(error)) from None
        finally:
            # A call a connection: calls are rare, and none is left open.
            self._transport.close()


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(str(host), self._path)
        self._connection = (host, connection)  # what the base class closes
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, host: str, path: Path) -> None:
        super().__init__(host, timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


def processes_of(run: Path) -> list[int]:
    """The pids of all processes that were started for this RUN folder."""
    mark = f"{MARK}=".encode() + os.fsencode(run)
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _has(entry, mark)]


def end_processes(run: Path, grace: float) -> list[int]:
    """End them all: SIGTERM, and SIGKILL after `grace` seconds. Returns the pids that are still there after that."""
    for kind, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED_SECONDS)):
        for pid in processes_of(run):
            _signal(pid, kind)
        if gone_within(run, seconds):
            return []
    return processes_of(run)


def gone_within(run: Path, seconds: float) -> bool:
    """Wait until none is there any more; whether that was so in time."""
    deadline = time.monotonic() + seconds
    while processes_of(run):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _has(entry: Path, mark: bytes) -> bool:
    try:
        # A dead process that waits for its parent (a zombie) has an empty environment: it is no leftover.
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it has ended meanwhile, or is somebody else's


def _signal(pid: int, kind: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, kind)


class Forgiving(io.TextIOBase):
    """Text to a file descriptor, unbuffered; what cannot be written is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """:returns: the characters of `text`, as if all had been written."""
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="replace"))
        return len(text)


class Signals:
    """One more descriptor that supervisord waits for: readable as soon as a signal has come."""

    def __init__(self) -> None:
        ends = os.pipe()
        self._reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST_OF_OURS) for end in ends)
        for end in ends:
            os.close(end)
        for end in (self._reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        # Only here: whoever asks it has no need of supervisord's own code.
        from supervisor.medusa.asyncore_25 import socket_map  # type: ignore[import-untyped]

        socket_map[self._reading] = self

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        """What the signals ask for is done by supervisord at the end of its turn; this turn has begun."""
        os.read(self._reading, 4096)


def main() -> None:
    """Be supervisord, with the command line's arguments."""
    from supervisor.supervisord import main as supervisord  # type: ignore[import-untyped]

    sys.stderr = Forgiving(2)
    Signals()
    supervisord()


if __name__ == "__main__":
    main()
