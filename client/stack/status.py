"""How a stack is: asked over SMTP, as any client would, and as its services tell it by their signs of life.

Gives: `probe`, what a short session with a server has shown and how long each reply took, nothing stored;
`takes_mail`, whether it does for one address; `services`, one `SignOfLife` for each that is or should be there,
from the files in RUN/ready that services write each second while they are ready; `table` of them for people.
Fails: never; what went wrong is in `trouble`, what cannot be read is not ready, a missing figure is not shown.
Limits: the session is one connection, ended in order; each reply is waited for `SECONDS` at most. That a server's
disk is full is seen of the stack in RUN alone, whose services tell it, up to a second later. Of a worker in a
container that is not ready it is only known that one is missing.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..mail.asking import over, why_not
from ..run_folder import NoStack, Server, read_stack, run_folder
from ..session.connection import Connection, ConnectionLost, NoConnection, connect
from ..session.smtp import CRLF, extensions
from ..terminal import harmless_line

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
    try:
        connection = connect(server.host, server.port)
    except NoConnection as error:
        seen.trouble = error.message
        return seen
    seen.listening = True
    seen.times["connect"] = (time.monotonic() - began) * 1000
    try:
        with asyncio.Runner() as runner:
            seen.trouble = why_not(lambda line: runner.run(_ask(connection, line, seen)), lost=ConnectionLost)
    except ConnectionLost as error:
        seen.trouble = error.message
    finally:
        connection.close()
    # What a session that stores nothing cannot see.
    seen.trouble = seen.trouble or why_no_mail(server)
    seen.takes_mail = not seen.trouble
    return seen


async def _ask(connection: Connection, line: str, seen: Probe) -> str:
    began = time.monotonic()
    if line:
        await connection.send(line.encode() + CRLF, SECONDS)
    reply = await connection.reply(SECONDS)
    seen.times[line[:4].lower() or "greeting"] = (time.monotonic() - began) * 1000
    if not line:
        seen.greeting = str(reply)
    elif line.startswith("EHLO") and reply.positive:
        seen.extensions = extensions(reply)
    return str(reply)


def takes_mail(host: str, port: int, address: str) -> bool:
    """Whether the server takes mail for this address, as far as can be seen without sending any."""
    try:
        with socket.create_connection((host, port), SECONDS) as connection, connection.makefile("rb") as replies:
            return not why_not(over(connection.sendall, replies), address)
    except OSError:
        return False


# Services write their file each second while they are ready.
_FRESH_SECONDS = 5.0
# A file has a few hundred octets.
_MOST_OCTETS = 64 * 1024
_LOCAL = ("127.0.0.1", "::1", "localhost")
_ALWAYS = ("gateway", "mailbox_store")
_WORKER = "session_worker"
# The figures, and how they read behind their number: one of them, several, and what is said of both.
_LOAD = {
    "connections": ("connection", "connections", ""),
    "workers": ("worker", "workers", ""),
    "steps_waiting": ("step", "steps", " waiting"),
    "steps_under_way": ("step", "steps", " under way"),
    "steps": ("step", "steps", " done"),
    "messages": ("message", "messages", ""),
    "deliveries": ("delivery", "deliveries", ""),
    "users": ("user", "users", ""),
    "journal_messages": ("message", "messages", " in the journal"),
    "entries_waiting": ("entry", "entries", " waiting for a mailbox"),
}


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """One process or container; `told` is all that its file says, nothing where there is none."""

    name: str
    ready: bool
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        return str(self.told.get("version", ""))

    @property
    def why_not(self) -> str:
        """What keeps it from its work though it is ready, "" for nothing."""
        return harmless_line(str(self.told.get("why_not", "")))

    @property
    def seconds(self) -> float | None:
        """How long it has been running; None where that is not known."""
        since = _number(self.told.get("since"))
        return max(0.0, time.time() - since) if since is not None else None

    def as_json(self) -> dict[str, Any]:
        return {**self.told, "ready": self.ready}


def services(run: Path) -> list[SignOfLife]:
    """Each service that is there, was there, or should be; none where nothing ever ran in this folder."""
    found = {}
    with suppress(OSError):
        paths = sorted(path for path in (run / "ready").iterdir() if not path.name.startswith("."))
        found = {path.name: _read(path) for path in paths}
    for name in _expected(run, list(found)):
        found.setdefault(name, SignOfLife(name, ready=False))
    return [found[name] for name in sorted(found)]


def why_no_mail(server: Server) -> str:
    """What keeps the server from its work, as a full disk does, in the words of its services; "" where nothing does.

    Only the stack in RUN can be asked: of a server elsewhere nothing is known.
    """
    run = run_folder()
    if run.port != server.port or server.host not in _LOCAL:
        return ""
    return next((why for service in services(run.path) if service.ready and (why := service.why_not)), "")


def versions(found: list[SignOfLife]) -> dict[str, list[str]]:
    """Which services run each release."""
    by: dict[str, list[str]] = {}
    for service in found:
        if service.ready and service.version:
            by.setdefault(service.version, []).append(service.name)
    return by


def table(found: list[SignOfLife]) -> list[str]:
    """A line each, and a word where releases differ."""
    if not found:
        return []
    rows = [("service", "state", "version", "up", "load")]
    rows += [
        (
            harmless_line(service.name),
            service.why_not or "ready" if service.ready else "not ready",
            harmless_line(service.version) or "-",
            "-" if service.seconds is None or not service.ready else _duration(service.seconds),
            _load(service.told) if service.ready else "",
        )
        for service in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["".join(f"{cell:{width}}  " for cell, width in zip(row, widths, strict=False)) + row[4] for row in rows]
    by = versions(found)
    if len(by) > 1:
        each = "; ".join(f"{version} in {', '.join(names)}" for version, names in sorted(by.items()))
        lines.append(f"! releases differ: {harmless_line(each)}; make restart-workers and its like bring the newest")
    return [line.rstrip() for line in lines]


def _read(path: Path) -> SignOfLife:
    told: dict[str, Any] = {}
    ready = False
    with suppress(OSError, ValueError):
        ready = time.time() - path.stat().st_mtime < _FRESH_SECONDS
        with path.open("rb") as file:
            said = json.loads(file.read(_MOST_OCTETS))
        if isinstance(said, dict):
            told = said
    return SignOfLife(path.name, ready, told)


def _expected(run: Path, found: list[str]) -> list[str]:
    """The names of services that ought to be there, of those that have no file for they are not ready."""
    # With processes each has a log.
    with suppress(OSError):
        logs = [path.stem for path in (run / "logs").glob("*.log")]
        if logs and not any("-" in name for name in found):
            return logs
    try:
        stack = read_stack(run)
    except NoStack:
        return []
    missing = [name for name in _ALWAYS if not any(_is_of(each, name) for each in found)]
    workers = stack.workers - sum(_is_of(each, _WORKER) for each in found)
    return missing + [f"{_WORKER} (missing {number})" for number in range(1, workers + 1)]


def _is_of(name: str, service: str) -> bool:
    """Whether a file is of this service: it is its name, its name_number, or its name-container."""
    return name == service or name.startswith((f"{service}_", f"{service}-"))


def _load(told: dict[str, Any]) -> str:
    parts = []
    for name, (one, several, about) in _LOAD.items():
        number = _number(told.get(name))
        if number is not None:
            oldest = _number(told.get("journal_oldest_seconds")) if name == "journal_messages" and number else None
            aged = "" if oldest is None else f", the oldest for {_duration(oldest)}"
            parts.append(f"{number:g} {one if number == 1 else several}{about}{aged}")
    return ", ".join(parts)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
