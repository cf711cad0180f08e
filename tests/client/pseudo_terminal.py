"""The client, or another program, on a real pseudo-terminal, for tests that type and look."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pyte

from tests.conditions import DEADLINE

ROOT = Path(__file__).parent.parent.parent
_ROWS, _COLUMNS = 30, 100
# "Where is the cursor?", and what this terminal always answers: in the upper left corner.
_QUESTION, _ANSWER = "\x1b[6n", b"\x1b[1;1R"
# What decides about language, colours and width, which each test says by itself.
_DECIDING = ("LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLUMNS", "LINES")


class Screen:
    """A program that thinks a person sits before it.

    :param state: where it keeps what it remembers of that person.
    :param command: its command line.
    :param columns: how wide the screen is.
    :param environment: beside the one of the tests, in which no language and no colours are chosen.
    """

    def __init__(
        self, state: Path, command: Sequence[str], cwd: Path = ROOT, columns: int = _COLUMNS, **environment: str
    ) -> None:
        self._columns = columns
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in _DECIDING}
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**inherited, "TERM": "xterm", "PYTHONUTF8": "1", "XDG_STATE_HOME": str(state), **environment},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # Of its session it is the terminal: whoever hangs up is heard, and Ctrl-C is a key.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        os.close(slave)
        # All that was written to the terminal, and that without escape sequences and what was waited for already.
        self.raw = ""
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal that is in charge of the process gives it."""
        self.process.send_signal(signal.SIGINT)

    def wait_for(self, text: str) -> None:
        """Read until `text` stands in what has not been waited for yet."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.seen:
            assert self._read(deadline), f"{text!r} did not come: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def wait_until_gone(self, text: str) -> None:
        """Read until the cursor's line shows `text` no more, as when it is cleared."""
        deadline = time.monotonic() + DEADLINE
        while text in self._line():
            assert self._read(deadline), "the program has ended"

    def _line(self) -> str:
        screen = pyte.Screen(self._columns, _ROWS)
        pyte.Stream(screen).feed(self.raw)
        return str(screen.display[screen.cursor.y])

    def _read(self, deadline: float) -> bool:
        assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], self.seen
        try:
            text = os.read(self.master, 4096).decode("utf-8", "replace")
        except OSError:  # EIO: the client has closed its end
            return False
        questions = (self.raw[-len(_QUESTION) + 1 :] + text).count(_QUESTION)
        os.write(self.master, _ANSWER * questions)
        self.raw += text
        self.seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        return True

    def end(self) -> int:
        """Read to the end; gives the exit status."""
        deadline = time.monotonic() + DEADLINE
        while self._read(deadline):
            pass
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal's window."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


class Terminal(Screen):
    """A client.

    :param arguments: of the command line, behind the port.
    """

    def __init__(self, port: int, state: Path, *arguments: str, **environment: str) -> None:
        command = [sys.executable, "-m", "client", "--port", str(port), *arguments]
        super().__init__(state, command, **environment)
