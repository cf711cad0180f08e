"""A short session with a server, to see whether it is there and takes mail; nothing is stored.

Gives: `probe`, what was seen and how long each reply took; `takes_mail`, whether it does for one address.
Fails: never; what went wrong is in `trouble`.
Limits: one connection, ended in order; each reply is waited for `SECONDS` at most. That a server's disk is full is
seen of the stack in RUN alone, whose services tell it: a session that stores nothing does not meet it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..mail.asking import why_not
from ..run_folder import Server
from ..session.connection import NoConnection, reach
from ..session.smtp import ServerReply, extensions
from .services import why_no_mail

# A server that takes longer than this for a greeting or a look-up is in trouble, and so is whoever waits for it.
SECONDS = 5.0


@dataclass
class Probe:
    """What was seen; times are milliseconds. `trouble` is "" where mail is taken."""

    server: Server
    listening: bool = False
    greeting: str = ""
    extensions: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    takes_mail: bool = False
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "host": self.server.host,
            "port": self.server.port,
            "listening": self.listening,
            "greeting": self.greeting,
            "extensions": self.extensions,
            "milliseconds": {name: round(value, 3) for name, value in self.times.items()},
            "takes_mail": self.takes_mail,
            "trouble": self.trouble,
        }


def probe(server: Server) -> Probe:
    """Hold the session: greeting, EHLO, and up to a recipient that every server takes; then QUIT."""
    seen = Probe(server)
    began = time.monotonic()

    def note(name: str) -> None:
        nonlocal began
        began, before = time.monotonic(), began
        seen.times[name] = (began - before) * 1000

    def told(line: str, reply: list[str]) -> None:
        note(line.partition(" ")[0].lower() or "greeting")
        if not line:
            seen.greeting = "\n".join(reply)
        elif line.startswith("EHLO") and reply[0].startswith("2"):
            seen.extensions = extensions(ServerReply(250, tuple(text[4:] for text in reply)))

    try:
        connection = reach(server.host, server.port)
    except NoConnection as error:
        seen.trouble = error.message
        return seen
    seen.listening = True
    note("connect")
    try:
        seen.trouble = _held(connection, told=told)
    except OSError as error:
        seen.trouble = f"the connection was lost: {error.strerror or error}"
    # What a session that stores nothing cannot see.
    seen.trouble = seen.trouble or why_no_mail(server)
    seen.takes_mail = not seen.trouble
    return seen


def takes_mail(host: str, port: int, address: str) -> bool:
    """Whether the server takes mail for this address, as far as can be seen without sending any."""
    try:
        return not _held(socket.create_connection((host, port), SECONDS), address)
    except OSError:
        return False


def _held(
    connection: socket.socket, recipient: str = "postmaster", told: Callable[[str, list[str]], None] | None = None
) -> str:
    connection.settimeout(SECONDS)
    with connection, connection.makefile("rb") as replies:
        return why_not(connection.sendall, replies, recipient, told)
