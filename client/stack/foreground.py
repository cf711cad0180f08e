"""What asks a program in the foreground for its end: Ctrl-C, SIGTERM, a terminal that is closed.

Gives: `Requests`. Fails: never.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A signal that was passed on follows in milliseconds; a person needs longer to press twice, and has read something.
_ONE_REQUEST_SECONDS = 0.2


class Requests:
    """The signals that ask for an end, each heard once: as KeyboardInterrupt inside `heard`, or at its next begin.

    The same signal twice at once is one request: a terminal's Ctrl-C reaches every program of its group, and some
    pass on what they get as well (timeout(1), npm, make). A signal that was ignored before stays so: nohup(1), and a
    shell for what it starts in the background.
    """

    def __init__(self) -> None:
        self._waiting = 0
        self._listening = False
        self._last = (0, -_ONE_REQUEST_SECONDS)
        self._before = {number: signal.getsignal(number) for number in _STOPS}

    def __enter__(self) -> Requests:
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def heard(self) -> Iterator[None]:
        self._listening = True
        try:
            self._hear()
            yield
        finally:
            self._listening = False

    def _ask(self, number: int, _: object) -> None:
        before, when = self._last
        self._last = (number, time.monotonic())
        if number != before or self._last[1] - when >= _ONE_REQUEST_SECONDS:
            self._waiting += 1
            self._hear()

    def _hear(self) -> None:
        if self._listening and self._waiting:
            self._waiting -= 1
            self._listening = False
            raise KeyboardInterrupt
