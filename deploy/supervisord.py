"""`python -m deploy.supervisord`: supervisord (http://supervisord.org), whom a full disk does not end.

What supervisord cannot write to a log it tells on its standard error. That is a file on the same disk: the telling
fails too, and this second error makes it stop reading what the service says, or ends it; then nobody starts the
services again.

Gives: `main`, supervisord's own, whose standard error drops what cannot be written. Fails: as supervisord does.
Limits: log lines that came while there was no room are lost.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

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


def main() -> None:
    """Be supervisord, with the command line's arguments."""
    sys.stderr = Forgiving(2)
    supervisord()


if __name__ == "__main__":
    main()
