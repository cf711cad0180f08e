"""A short session with a server, to see whether it is there and takes mail; nothing is stored.

Gives: `probe`, what was seen and how long each reply took. Fails: never; what went wrong is in `trouble`.
Limits: one connection, ended in order; each reply is waited for `SECONDS` at most. That a server's disk is full is
seen of the stack in RUN alone, whose services tell it: a session that stores nothing does not meet it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from ..run_folder import Server
from ..session.connection import Connection, ConnectionLost, Unreachable, connect
from ..session.smtp import CRLF, Reply, extensions
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
    try:
        connection = connect(server.host, server.port)
    except Unreachable as error:
        seen.trouble = error.message
        return seen
    seen.listening = True
    seen.times["connect"] = (time.monotonic() - began) * 1000
    try:
        asyncio.run(_talk(connection, seen))
    except ConnectionLost as error:
        seen.trouble = error.message
    finally:
        connection.close()
    # What a session that stores nothing cannot see.
    if seen.takes_mail and (why := why_no_mail(server)):
        seen.takes_mail, seen.trouble = False, why
    return seen


async def _talk(connection: Connection, seen: Probe) -> None:
    async def ask(name: str, line: str) -> Reply:
        began = time.monotonic()
        if line:
            await connection.send(line.encode() + CRLF, SECONDS)
        reply = await connection.reply(SECONDS)
        seen.times[name] = (time.monotonic() - began) * 1000
        return reply

    greeting = await ask("greeting", "")
    seen.greeting = str(greeting)
    if not greeting.positive:
        seen.trouble = f"the greeting is a refusal: {greeting}"
        return
    ehlo = await ask("ehlo", "EHLO localhost")
    seen.extensions = extensions(ehlo) if ehlo.positive else {}
    # RFC 5321 section 4.5.1: postmaster without a domain is a recipient of every server.
    for name, line in (("mail", "MAIL FROM:<>"), ("rcpt", "RCPT TO:<postmaster>")):
        reply = await ask(name, line)
        if not reply.positive:
            seen.trouble = f"{line} was answered: {reply}"
            break
    else:
        seen.takes_mail = True
    await ask("quit", "QUIT")
