"""An SMTP session typed by hand, or read from a pipe: the learner's side of the exercise.

Gives: `converse`, which shows what the server says and sends what is typed until QUIT or until the server closes.
`PipedLines` here and `typed.TypedLines` are where the lines come from; a `guide.Guide` adds what helps a learner.
What is typed is sent as it is. No dot is doubled for the user: in SMTP the client does that (RFC 5321 section
4.5.2), and whoever types the session is the client.
Fails: a lost connection ends the session with exit status 1, after showing what the server said last.
Limits: no time limits but the server's; Ctrl-C ends any wait, and a second one the program (`EXIT_INTERRUPTED`).
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol, TypeVar

import click

from ..terminal import harmless_text
from .connection import Connection, ConnectionLost
from .guide import NOT_DELIVERED, Guide
from .smtp import CRLF, Exchanges, Expects

# How long a farewell is waited for after the user has decided to leave.
FAREWELL_SECONDS = 5.0
_READ_SIZE = 64 * 1024
_T = TypeVar("_T")


class LineSource(Protocol):
    """Where the lines of a session come from and where what is said goes."""

    async def next_line(self, expects: Expects) -> bytes | None:
        """The next line to send, without its line end; None when there are no more and the user leaves."""

    async def show(self, text: str) -> None:
        """Show what the server said, or what became of the session."""


class PipedLines:
    """Lines of a file descriptor that nobody types into: plain text in, plain text out."""

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._whole: deque[bytes] = deque()
        self._rest: list[bytes] = []
        self._ended = False

    async def next_line(self, expects: Expects) -> bytes | None:  # noqa: ARG002  # the same for all
        """See `LineSource`; a last line without a line end counts."""
        while not self._whole and not self._ended:
            chunk = await self._read()
            self._ended = not chunk
            *whole, rest = chunk.split(b"\n")
            if whole:
                whole[0] = b"".join([*self._rest, whole[0]])
                self._rest = []
            if rest:
                self._rest.append(rest)
            if self._ended and self._rest:
                whole = [b"".join(self._rest)]
            self._whole.extend(line.removesuffix(b"\r") for line in whole)
        return self._whole.popleft() if self._whole else None

    async def show(self, text: str) -> None:
        """See `LineSource`."""
        # Colours are in it only where they were asked for, and then for a pipe too.
        click.echo(text, color=True)

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        # Only OSError: a closed descriptor, or the terminal hung up; either is the end of the input.
        with suppress(OSError):
            # Files on disk are always readable, and epoll refuses them.
            with suppress(PermissionError):
                loop.add_reader(self._fd, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._fd)
            return os.read(self._fd, _READ_SIZE)
        return b""


class LiveSession:
    """The two directions of a session: what is said goes out line by line, what comes is shown at once."""

    def __init__(self, connection: Connection, lines: LineSource, guide: Guide) -> None:
        self.exchanges = Exchanges()
        self.over = asyncio.Event()
        self.lost = False
        self._connection = connection
        self._lines = lines
        self._guide = guide
        self._answered = asyncio.Event()
        self._asked_at = asyncio.get_running_loop().time()

    async def listen(self) -> None:
        """Show the server's replies until it closes or has said that it will."""
        try:
            while not self.exchanges.closing:
                reply = await self._connection.reply()
                seconds = asyncio.get_running_loop().time() - self._asked_at
                shown = self._guide.heard(self.exchanges.received(reply), reply, seconds)
                if shown:
                    await self._lines.show(shown)
                if not self.exchanges.waiting:
                    self._answered.set()
        except ConnectionLost as lost:
            if self._connection.last_words:
                await self._lines.show(harmless_text(self._connection.last_words))
            self.lost = True
            await self._lines.show(self._guide.lost(lost))
        finally:
            self.over.set()
            self._answered.set()

    async def say(self, line: bytes) -> None:
        """Send one line. If that fails, `listen` finds out why."""
        self._guide.said(line, self.exchanges.expects)
        self.exchanges.sent(line)
        self._asked_at = asyncio.get_running_loop().time()
        if self.exchanges.waiting:
            self._answered.clear()
        with suppress(ConnectionLost):
            await self._connection.send(line + CRLF)

    async def answered(self) -> None:
        """Wait until nothing sent is without its reply, or the session is over."""
        if not self.over.is_set():
            await self._answered.wait()

    async def unless_over(self, coming: Awaitable[_T]) -> _T | None:
        """What `coming` gives, or None if the session is over before."""
        waited = asyncio.ensure_future(coming)
        over = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait({waited, over}, return_when=asyncio.FIRST_COMPLETED)
            return waited.result() if waited.done() else None
        finally:
            for future in (waited, over):
                future.cancel()
            await asyncio.gather(waited, over, return_exceptions=True)

    async def leave(self) -> None:
        """Say QUIT where the server would take it for a command, and wait a little for its farewell."""
        if self.over.is_set():
            return
        if self.exchanges.expects is Expects.MESSAGE:
            await self._lines.show(self._guide.note(NOT_DELIVERED))
        elif self.exchanges.may_send:
            await self.say(b"QUIT")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), FAREWELL_SECONDS)


async def converse(connection: Connection, lines: LineSource, guide: Guide | None = None) -> int:
    """Hold a session until QUIT, the end of the lines, Ctrl-C, or the server's closing.

    :returns: the exit status: 0 when the server said farewell (221), else 1.
    :raises OSError: what is to be shown cannot be.
    """
    guide = guide or Guide()
    session = LiveSession(connection, lines, guide)
    listener = asyncio.create_task(session.listen())
    try:
        await session.answered()
        await _ask(session, guide)
        while not session.over.is_set():
            line = await session.unless_over(lines.next_line(session.exchanges.expects))
            if line is None:
                break
            await session.say(line)
            if session.exchanges.expects is not Expects.MESSAGE:
                await session.answered()
        await session.leave()
    except asyncio.CancelledError:
        # Ctrl-C while a reply is waited for. A second one ends the program.
        await session.leave()
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        connection.close()
        if not session.lost:
            guide.over(closed=session.exchanges.closing)
    if not listener.cancelled() and (failure := listener.exception()):
        raise failure  # what the server says cannot be shown
    return 0 if session.exchanges.farewell else 1


async def _ask(session: LiveSession, guide: Guide) -> None:
    if session.exchanges.may_send and (question := guide.asks()):
        await session.say(question)
        await session.answered()
