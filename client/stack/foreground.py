"""A stack in the foreground: it lives until somebody asks for its end, and shows what is said in it.

Gives: `stay_in_foreground`, which starts an `OwnedStack`, shows its conversations on a `Display` and ends it;
`StopRequests`, what asks a program in the foreground for its end: Ctrl-C, SIGTERM, a terminal that is closed.
Fails: never; what went wrong is told, and the exit status says it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import click

from ..language import Phrase
from ..output import no_output
from ..run_folder import NoStack, read_stack
from .display import Complaints, Display
from .feed import Change, FeedReader
from .owned_stack import OwnedStack, StackError

_EX_FAILED = 1
# While it stops: how long nothing is said before it is asked whether it has ended.
_LAST_LOOK_MS = 50
# Between two looks into the logs.
_LOOK_SECONDS = 1.0
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A signal that was passed on follows in milliseconds; a person needs longer to press twice, and has read something.
_ONE_REQUEST_SECONDS = 0.2

_INTERRUPTED = Phrase("Interrupted; nothing was started.", "Interrompido; nada foi iniciado.")
_AT_ONCE = Phrase("Stopping at once.", "Encerrando já.")
_STOPPED = Phrase("Stopped; nothing is left running.", "Encerrado; nada continua rodando.")
_ENDED = Phrase("The server has been ended from elsewhere.", "O servidor foi encerrado por outro comando.")


class StopRequests:
    """The signals that ask for an end, each told once: as KeyboardInterrupt in `interruptible`, or at its next begin.

    The same signal twice at once is one request: a terminal's Ctrl-C reaches every program of its group, and some
    pass on what they get as well (timeout(1), npm, make). A signal that was ignored before stays so: nohup(1), and a
    shell for what it starts in the background.
    """

    def __init__(self) -> None:
        self._waiting = 0
        self._interruptible = False
        self._last = (0, -_ONE_REQUEST_SECONDS)
        self._before = {number: signal.getsignal(number) for number in _STOPS}

    def __enter__(self) -> StopRequests:
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that a request, one that came before as well, ends with KeyboardInterrupt."""
        self._interruptible = True
        try:
            self._tell()
            yield
        finally:
            self._interruptible = False

    def _ask(self, number: int, _: object) -> None:
        before, when = self._last
        self._last = (number, time.monotonic())
        if number != before or self._last[1] - when >= _ONE_REQUEST_SECONDS:
            self._waiting += 1
            self._tell()

    def _tell(self) -> None:
        if self._interruptible and self._waiting:
            self._waiting -= 1
            self._interruptible = False
            raise KeyboardInterrupt


def stay_in_foreground(stack: OwnedStack, display: Display) -> int:
    """Start a stack, show what happens in it, and have it end; gives the exit status."""
    with StopRequests() as requests:
        try:
            with requests.interruptible():
                stack.start()
        except StackError as error:
            click.echo(error, err=True)
            return error.status
        except KeyboardInterrupt:
            display.farewell(_INTERRUPTED)
            return _EX_FAILED
        try:
            with FeedReader(stack.run) as feed:
                try:
                    with requests.interruptible():
                        _watch(stack, display, feed)
                    display.farewell(_ENDED)
                except KeyboardInterrupt:
                    return _stop(stack, display, requests, partial(_see_out, stack, display, feed))
        except NoStack as error:
            click.echo(error.format_message(), err=True)
        except OSError as error:
            display.nobody_sees()
            trouble = no_output(error)
            trouble.show()
            return _stop(stack, display, requests, stack.finish) or trouble.exit_code
        return _stop(stack, display, requests, stack.finish) or _EX_FAILED


def _watch(stack: OwnedStack, display: Display, feed: FeedReader) -> None:
    """Show what happens until the stack ends."""
    display.up(read_stack(stack.run))
    complaints, looked = Complaints(stack.run), 0.0
    while not stack.ended():
        if time.monotonic() - looked >= _LOOK_SECONDS:
            looked = time.monotonic()
            display.complain(list(complaints.read()))
        happened = feed.turn()
        if isinstance(happened, Change):
            display.change(gone=happened is Change.GONE)
        elif happened is not None:
            display.show(happened)


def _see_out(stack: OwnedStack, display: Display, feed: FeedReader) -> None:
    """Have the stack end, and show what is said in the mails that are still under way."""
    stack.finish(0)
    try:
        # Once it has ended there may be more to show than one turn gives.
        while (happened := feed.turn(_LAST_LOOK_MS)) is not None or not stack.ended():
            if happened is not None and not isinstance(happened, Change):
                display.show(happened)
    except OSError:
        display.nobody_sees()
        stack.finish()


def _stop(stack: OwnedStack, display: Display, requests: StopRequests, finish: Callable[[], object]) -> int:
    """:param finish: returns when the stack has ended in order."""
    if not stack.ended():
        display.stopping()
    try:
        with requests.interruptible():
            finish()
    except KeyboardInterrupt:
        display.farewell(_AT_ONCE)
    try:
        stack.stop()
    except StackError as error:
        with suppress(OSError):
            click.echo(error, err=True)
        return error.status
    display.farewell(_STOPPED)
    return 0
