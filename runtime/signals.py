"""The end of an ordered stop: a service that is told to stop a second time has heard the first.

The interpreter takes its signal handlers down before it ends. A SIGTERM in that moment would make a signal's death of
an ordered stop, and a supervisor would take it for a crash.
"""

from __future__ import annotations

import signal

STOP = (signal.SIGTERM, signal.SIGINT)


def heed_no_more() -> None:
    """Ignore what would stop this process, which is about to end by itself. To be called in the main thread."""
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)
