"""An event loop and ZeroMQ sockets that are only lists: code written for the real ones runs on them.

Nothing happens by itself. The loop calls what is due when it is told to take a turn, its time stands still until it
is moved, and what is sent on a socket lies there until it is taken. So every run does exactly the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from typing import Any, cast

import zmq

Frames = list[bytes]


class ListSocket:
    """A ZeroMQ socket of two lists."""

    def __init__(self, kind: int) -> None:
        self.closed = False
        self.inbox: deque[Frames] = deque()
        self.sent: list[Frames] = []
        self._kind = kind

    def getsockopt(self, option: int) -> int:
        return self._kind if option == zmq.TYPE else -1

    def recv_multipart(self, _flags: int) -> Frames:
        if not self.inbox:
            raise zmq.Again
        return self.inbox.popleft()

    def send_multipart(self, frames: Frames, _flags: int) -> None:
        self.sent.append(list(frames))

    def taken(self) -> list[Frames]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def setsockopt(self, option: int, value: object) -> None: ...

    def set_hwm(self, value: int) -> None: ...

    def bind(self, endpoint: str) -> None: ...

    def close(self, linger: int = 0) -> None:  # noqa: ARG002
        self.closed = True


class ListContext:
    """Makes such sockets; they are in `sockets`, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.sockets: list[ListSocket] = []

    def socket(self, kind: int) -> ListSocket:
        self.sockets.append(ListSocket(kind))
        return self.sockets[-1]


class _Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ListLoop:
    """An event loop without an operating system: `turn` calls what is due, and `now`, in seconds, stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self._soon: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._later: list[tuple[float, int, _Timer, Callable[..., Any], tuple[Any, ...]]] = []
        self._readers: list[Callable[[], None]] = []
        self._numbers = count()

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *arguments: Any) -> None:
        self._soon.append((callback, arguments))

    def call_later(self, seconds: float, callback: Callable[..., Any], *arguments: Any) -> _Timer:
        timer = _Timer()
        heappush(self._later, (self.now + seconds, next(self._numbers), timer, callback, arguments))
        return timer

    def add_reader(self, _fd: int, callback: Callable[[], None]) -> None:
        self._readers.append(callback)

    def next(self) -> float:
        """When the next timer runs out."""
        while self._later and self._later[0][2].cancelled:
            heappop(self._later)
        return self._later[0][0] if self._later else float("inf")

    @property
    def is_due(self) -> bool:
        """Would a turn do anything that time or another callback has asked for?"""
        return bool(self._soon) or self.next() <= self.now

    def turn(self) -> None:
        """Timers and readers first, then whatever that led to, until nothing is left."""
        before = self._enter()
        try:
            while self.next() <= self.now:
                _, _, _, callback, arguments = heappop(self._later)
                callback(*arguments)
            for reader in self._readers:
                reader()
            while self._soon:
                callback, arguments = self._soon.popleft()
                callback(*arguments)
        finally:
            asyncio._set_running_loop(before)

    @contextmanager
    def running(self) -> Iterator[None]:
        """What is made meanwhile belongs to this loop."""
        before = self._enter()
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def _enter(self) -> asyncio.AbstractEventLoop | None:
        # Who wants to know the running loop gets this one; the server may be used inside of another.
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, self))
        return before
