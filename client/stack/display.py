"""What a person sees of a stack in the foreground: its state, the events of its feed, what its services warn of.

Gives: `Display`, which shows them; `Complaints`, whose `read` gives the lines of level WARNING and above that have
come into the services' logs, in either form of the log.
Fails: where standard output takes nothing, as `output` says; what cannot be read of a log has no lines.
Limits: of what one log gets between two reads the last `_MOST_OCTETS` are looked at, the rest of a file that was
rotated meanwhile is not; lines that are in neither form, such as a crashing interpreter's, are left to the log.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from ..language import Language, Phrase
from ..run_folder import Stack
from ..terminal import Paint, harmless_line
from .events import Event, Gaps, Look

_UP = Phrase(
    "Correio takes mail on {host} port {port}.\nUsers: {users}, mailboxes: {mailboxes}\n"
    "Send one from another terminal: correio. Ctrl-C stops the server.",
    "O Correio recebe mensagens em {host}, porta {port}.\nUsuários: {users}, caixas postais: {mailboxes}\n"
    "Envie uma de outro terminal: correio. Ctrl-C encerra o servidor.",
)
_WAITING = Phrase("Waiting for a connection.", "Aguardando conexão.")
_GATEWAY_GONE = Phrase("The gateway is away; it is being started again.", "O gateway caiu; está sendo reiniciado.")
_GATEWAY_BACK = Phrase("The gateway is back.", "O gateway voltou.")
_STOPPING = Phrase(
    "Stopping: mails under way can end. Ctrl-C once more waits for none.",
    "Encerrando: o que está em andamento pode terminar. Outro Ctrl-C não espera.",
)

# The lines of one look into the logs that a screen has room for.
_MOST_LINES = 20
# A few hundred lines: more than a screen shows.
_MOST_OCTETS = 64 * 1024
# 2026-11-27T16:34:28.174 store[17985] WARNING what it is
_HUMAN = re.compile(rb"^\S+ [a-z_]+\[[0-9]+\] (?:WARNING|ERROR|CRITICAL) ")
_GRAVE = frozenset({"WARNING", "ERROR", "CRITICAL"})


class Display:
    """What the person sees: the server's state, and the events of its feed."""

    def __init__(self, paint: Paint, language: Language) -> None:
        self._paint = paint
        self._language = language
        self._look = Look(paint, language)
        self._gaps = Gaps()
        # The sessions that are open; `_all` as long as none can be whose begin was not heard.
        self._open: set[str] = set()
        self._all = True
        # Whether it can still be that somebody connects.
        self._waits = True

    def up(self, stack: Stack) -> None:
        """The server takes mail."""
        users, mailboxes = _near(stack.users), _near(stack.mailboxes)
        self.say(_UP, host=stack.host, port=stack.port, users=users, mailboxes=mailboxes)
        self.say(_WAITING)

    def say(self, text: Phrase, **values: object) -> None:
        """A word of our own."""
        click.echo(self._paint.hint(text.say(self._language, **values)), color=True)

    def farewell(self, text: Phrase) -> None:
        """The same where nobody may see it any more."""
        try:
            self.say(text)
        except OSError:
            self.nobody_sees()

    def nobody_sees(self) -> None:
        """The output is closed: what is still in its buffer, and all that follows, goes nowhere, and is no error."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def show(self, event: Event) -> None:
        """Its line, and that a connection is waited for where nobody has one any more."""
        if missed := self._gaps.before(event):
            click.echo(self._look.missed(missed), color=True)
            self._forget()
        session, kind = str(event.get("session", "")), event.get("event")
        if kind == "connected":
            self._open.add(session)
        elif self._all and session not in self._open:
            return  # the last words of who looked whether mail is taken
        line = self._look.line(event)
        if line is not None:
            click.echo(line, color=True)
        if kind == "closed":
            self._open.discard(session)
            if self._waits and not self._open:
                self.say(_WAITING)

    def stopping(self) -> None:
        """The server is about to end: nobody is waited for any more."""
        self._waits = False
        self.farewell(_STOPPING)

    def complain(self, lines: list[str]) -> None:
        """What the services warn of; of a flood, its end."""
        for line in lines[-_MOST_LINES:]:
            click.echo(self._paint.hint(f"! {harmless_line(line)}"), color=True)

    def change(self, *, gone: bool) -> None:
        """The gateway is gone, and its connections with it; or it is back."""
        self._forget()
        self.say(_GATEWAY_GONE if gone else _GATEWAY_BACK)

    def _forget(self) -> None:
        self._open.clear()
        self._all = False


def _near(path: Path | None) -> str:
    """The path as a person here would type it."""
    if path is not None and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)


class Complaints:
    """Those of one stack, from the begin of its logs.

    :param run: its folder.
    """

    def __init__(self, run: Path) -> None:
        self._logs = run / "logs"
        # Of each log which file it was, and how far it was read.
        self._read: dict[Path, tuple[int, int]] = {}

    def read(self) -> Iterator[str]:
        """The whole lines that have come since the last read."""
        with suppress(OSError):
            for log in sorted(self._logs.glob("*.log")):
                for line in self._new(log):
                    if _HUMAN.match(line) or _is_grave(line):
                        yield line.decode("utf-8", "replace")

    def _new(self, log: Path) -> list[bytes]:
        with log.open("rb") as file:
            status = os.fstat(file.fileno())
            known, offset = self._read.get(log, (status.st_ino, 0))
            if known != status.st_ino or offset > status.st_size:
                offset = 0
            skipped = max(offset, status.st_size - _MOST_OCTETS)
            file.seek(skipped)
            whole = file.read(_MOST_OCTETS).rpartition(b"\n")
            self._read[log] = (status.st_ino, skipped + len(whole[0]) + len(whole[1]))
        # The begin of a line that was cut is no line.
        return whole[0].splitlines()[1 if skipped > offset else 0 :]


def _is_grave(line: bytes) -> bool:
    if line.startswith(b"{"):
        with suppress(ValueError):
            told = json.loads(line)
            return isinstance(told, dict) and told.get("level") in _GRAVE
    return False
