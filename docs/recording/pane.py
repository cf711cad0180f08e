"""A terminal with a shell in it, whose screen can be looked at: a pseudo-terminal, and `pyte` behind it.

Gives: `Pane`, which types and waits, and `Row`, a line of its screen with colours.
Fails: `NotSeen` where what is waited for does not come.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyte

_DEADLINE = 30.0
# A screen that has not changed for so long is drawn to its end.
_QUIET = 0.04


class NotSeen(Exception):
    """It did not come; the text has what is on the screen instead."""


@dataclass(frozen=True)
class Run:
    """Some characters that look alike; `color` and `background` are pyte's names, "default" included."""

    column: int
    text: str
    color: str
    background: str
    bold: bool


Row = tuple[Run, ...]


class _Screen(pyte.Screen):  # type: ignore[misc]
    """Answers the question of where the cursor is, which line editors ask."""

    master = -1

    def write_process_input(self, data: str) -> None:
        os.write(self.master, data.encode())


class Pane:
    """bash in a terminal of this size, to be used in a with block; what it runs inherits `environment` alone."""

    def __init__(self, rows: int, columns: int, folder: Path, environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = _Screen(columns, rows)
        self.screen.master = self.master
        self._stream = pyte.ByteStream(self.screen)
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=folder,
            env={"TERM": "xterm-256color", "PS1": "$ ", "HISTFILE": "", "INPUTRC": "/dev/null", **environment},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self) -> Pane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The terminal hangs up, and with it all that runs there.
        os.close(self.master)
        self.process.wait(_DEADLINE)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def settle(self, pattern: str, quiet: float = _QUIET) -> None:
        """Read until the text up to the cursor ends with this regular expression and nothing more comes.

        :param quiet: for so many seconds.
        :raises NotSeen: it never does.
        """
        deadline = time.monotonic() + _DEADLINE
        wanted = re.compile(rf"(?:{pattern})\Z")
        while True:
            more = self._read(quiet)
            if not more and wanted.search(self._up_to_cursor()):
                return
            if time.monotonic() > deadline:
                raise NotSeen(f"{pattern!r} is not on the screen:\n" + "\n".join(self.screen.display))

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self._stream.feed(os.read(self.master, 65536))
        return True

    def _up_to_cursor(self) -> str:
        cursor = self.screen.cursor
        lines = [line.rstrip() for line in self.screen.display[: cursor.y]]
        return "\n".join([*lines, self.screen.display[cursor.y][: cursor.x]])

    def rows(self) -> list[Row]:
        """The screen as it is."""
        return [self._row(self.screen.buffer[number]) for number in range(self.screen.lines)]

    def _row(self, cells: Any) -> Row:
        runs: list[Run] = []
        for column in range(self.screen.columns):
            cell = cells[column]
            color, background = (cell.bg, cell.fg) if cell.reverse else (cell.fg, cell.bg)
            last = runs[-1] if runs else None
            if last and (last.color, last.background, last.bold) == (color, background, cell.bold):
                runs[-1] = Run(last.column, last.text + cell.data, color, background, cell.bold)
            else:
                runs.append(Run(column, cell.data, color, background, cell.bold))
        return tuple(run for run in runs if run.text.strip() or run.background != "default")
