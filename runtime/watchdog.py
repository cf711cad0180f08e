"""A process whose loop hangs ends itself, so that its supervisor can start another.

Others see a hung process only as a silent one, and can do nothing for it; a supervisor does not see it at all. For
services only whose sudden end costs no more than their standing still does: a session worker.

Gives: a `Watchdog`, to be fed from the loop. It is a thread of the interpreter's own (`faulthandler`) that needs
neither the loop nor the interpreter's lock.
Fails: a process that is not fed in time writes where each of its threads stands to standard error, and exits with
status 1.
Limits: one in a process. A process that was stopped for longer (SIGSTOP, a frozen container) ends when it goes on.
"""

from __future__ import annotations

import faulthandler


class Watchdog:
    """Ends the process once it has not been fed for `seconds`, beginning with the first time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def feed(self) -> None:
        """The loop turns."""
        faulthandler.dump_traceback_later(self._seconds, exit=True)

    def leave(self) -> None:
        """Watch no longer."""
        faulthandler.cancel_dump_traceback_later()
