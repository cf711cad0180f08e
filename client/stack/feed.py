"""The feed of a running stack, through its socket in RUN: events as they come, and whether the stack is there.

Gives: `FeedReader`, to be used in a with block. Waiting for an event takes no CPU; while the stack is away it is
looked for once a second, also where its next start puts the socket elsewhere.
Fails: `NoStack` at the begin, in words for a person; later a stack that goes away is no failure.
Limits: a stack that was killed is found to be away by silence: the gateway says something each second.
"""

from __future__ import annotations

import os
import time
from enum import Enum
from pathlib import Path
from types import TracebackType

import zmq

from ..run_folder import NoStack, read_stack
from .events import TOPIC, Event, parse

# The gateway greets a subscriber at once; one that is busy, or being restarted, takes longer.
_GREETING_SECONDS = 3.0
# Between two looks whether the stack is still there, or there again.
_LOOK_MS = 1500
_SILENCE_SECONDS = 5.0
# unix(7): the path of a socket has at most 107 octets.
_MAX_PATH = 107


class Change(Enum):
    """The stack is not there any more, or there again."""

    GONE = "gone"
    BACK = "back"


class FeedReader:
    """What the gateway of one stack tells.

    :param run: the stack's folder.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._path = Path()
        self._here = False
        self._heard = 0.0
        self._waiting: Event | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 100)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self._socket.setsockopt(zmq.SUBSCRIBE, TOPIC)

    def __enter__(self) -> FeedReader:
        """:raises NoStack: there is no stack, or it has no feed."""
        try:
            self._begin()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def next(self) -> Event | Change:
        """What comes next, however long that takes; events that only say that the gateway lives are among them."""
        while (happened := self.turn()) is None:
            pass
        return happened

    def turn(self, milliseconds: int = _LOOK_MS) -> Event | Change | None:
        """The same, but None where nothing has come for so long."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            return waiting
        were_here = self._here
        event = self._receive(milliseconds)
        if event is not None:
            if were_here:
                return event
            self._waiting = event
            return Change.BACK
        if not were_here:
            self._look_again()
        elif not self._path.exists() or time.monotonic() - self._heard > _SILENCE_SECONDS:
            self._here = False
            return Change.GONE
        return None

    def _begin(self) -> None:
        self._path = _path(self._run)
        self._socket.connect(f"ipc://{self._path}")
        deadline = time.monotonic() + _GREETING_SECONDS
        while self._waiting is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoStack(
                    f"The stack in RUN={self._run} has no feed: nobody answers at {self._path}. "
                    "Does it run? See: correio status"
                )
            self._waiting = self._receive(int(left * 1000) + 1)

    def _receive(self, milliseconds: int) -> Event | None:
        if not self._socket.poll(milliseconds):
            return None
        event = parse(self._socket.recv_multipart())
        if event is not None:
            self._here = True
            self._heard = time.monotonic()
        return event

    def _look_again(self) -> None:
        try:
            path = _path(self._run)
        except NoStack:
            return
        if path != self._path:
            self._socket.disconnect(f"ipc://{self._path}")
            self._path = path
            self._socket.connect(f"ipc://{path}")

    def _close(self) -> None:
        self._socket.close()
        self._context.term()


def _path(run: Path) -> Path:
    """Where the feed of this stack is.

    :raises NoStack: it has none.
    """
    sockets = read_stack(run).sockets
    if sockets is None:
        raise NoStack(f"The stack in RUN={run} does not say where its feed is. Start it anew: make down up")
    path = sockets / "feed"
    if len(os.fsencode(path)) > _MAX_PATH:
        raise NoStack(f"The path {path} is longer than the system takes for a socket: choose a shorter RUN")
    return path
