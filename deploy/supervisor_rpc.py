"""Asking a supervisord over its Unix socket (XML-RPC, http://supervisord.org/api.html).

Gives: the states of its programs, its own pid, and the orders to stop or start a program, or to shut down.
Fails: `Unreachable` when nobody answers there, or when it refuses an order; `NotAllowed`, which is one, where the
system keeps us from asking.
"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# It answers at once or it is not there; while it starts many children a loop of it may take this long.
_TIMEOUT_SECONDS = 5.0


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
