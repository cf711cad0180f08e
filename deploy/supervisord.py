"""`python -m deploy.supervisord`: supervisord (http://supervisord.org), whom a full disk does not end, and who hears.

What supervisord cannot write to a log it tells on its standard error. That is a file on the same disk: the telling
fails too, and this second error makes it stop reading what the service says, or ends it; then nobody starts the
services again.

It waits for its descriptors up to a second at a time. Of a signal, that a child has ended or that all is to stop, it
would hear only then: since PEP 475 Python goes on with a wait that a signal has interrupted.

Gives: `main`, supervisord's own, whose standard error drops what cannot be written, and whose wait a signal ends.
Fails: as supervisord does.
Limits: log lines that came while there was no room are lost.
"""

from __future__ import annotations

import fcntl
import io
import os
import signal
import sys
from contextlib import suppress

from supervisor.medusa.asyncore_25 import socket_map  # type: ignore[import-untyped]
from supervisor.supervisord import main as supervisord  # type: ignore[import-untyped]


class Forgiving(io.TextIOBase):
    """Text to a file descriptor, unbuffered; what cannot be written is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """:returns: the characters of `text`, as if all had been written."""
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="replace"))
        return len(text)


# supervisord.conf's minfds: below it supervisord closes what it does not know when it reads its configuration anew.
_FIRST_OF_OURS = 64


class Signals:
    """One more descriptor that supervisord waits for: readable as soon as a signal has come."""

    def __init__(self) -> None:
        ends = os.pipe()
        self._reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST_OF_OURS) for end in ends)
        for end in ends:
            os.close(end)
        for end in (self._reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        socket_map[self._reading] = self

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        """What the signals ask for is done by supervisord at the end of its turn; this turn has begun."""
        os.read(self._reading, 4096)


def main() -> None:
    """Be supervisord, with the command line's arguments."""
    sys.stderr = Forgiving(2)
    Signals()
    supervisord()


if __name__ == "__main__":
    main()
