"""Lines typed on a terminal: prompts that tell commands from message, editing, completion, and a history of commands.

Gives: `TypedLines`, which `interactive.converse` takes its lines from; what the server says while the user types
appears above the prompt at once.
Fails: a history that cannot be kept in its file is kept in memory; nobody is bothered with it.
Limits: the history has commands only. Lines of a message, answers to the server's questions, and AUTH with what
follows it are never written down.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.history import FileHistory

from ..language import Text
from .completion import CommandCompleter
from .editor import prompts
from .guide import Guide
from .smtp import Expects

DOT_NOTE = Text(
    "The server drops the dot that begins a line of the message. To keep one, type two: {line}",
    "O servidor retira o ponto que inicia uma linha da mensagem. Para manter um, digite dois: {line}",
)


def history_path() -> Path:
    """Where the history is kept, by the XDG Base Directory Specification."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # "All paths set in these environment variables must be absolute"; others are to be ignored.
    folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return folder / "correio" / "history"


class CommandHistory(FileHistory):
    """The commands of this and former sessions, in a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            path.chmod(0o600)

    def remember(self, command: bytes) -> None:
        """Write down a command that was sent as one."""
        text = command.decode("utf-8", "replace").strip()
        if text and not text.upper().startswith("AUTH") and [text] != self.get_strings()[-1:]:
            super().append_string(text)

    def append_string(self, string: str) -> None:
        """Nothing: a prompt calls this with all it accepts, and a paste may hold a whole message."""

    def load_history_strings(self) -> Iterable[str]:
        """What the file has, newest first."""
        with suppress(OSError):
            return super().load_history_strings()
        return []

    def store_string(self, string: str) -> None:
        """Write to the file, as well as that goes: a full disk must not end a session."""
        with suppress(OSError):
            super().store_string(string)


class TypedLines:
    """Lines from a person at a terminal; see `interactive.Lines`."""

    def __init__(self, history: CommandHistory, guide: Guide) -> None:
        self._history = history
        self._guide = guide
        self._prompts = prompts(guide, history, CommandCompleter(guide.standing, guide.language))
        self._pasted: deque[str] = deque()

    async def next_line(self, expects: Expects) -> bytes | None:
        """What is typed at the prompt for what the server expects; None at Ctrl-D, or Ctrl-C on an empty line."""
        if not self._pasted:
            try:
                # A message, or a paste of several lines, comes as one text.
                self._pasted.extend((await self._prompts[expects].prompt_async()).split("\n"))
            except (EOFError, KeyboardInterrupt):
                return None
        line = self._pasted.popleft().encode("utf-8", "surrogateescape")
        if expects is Expects.COMMAND:
            self._history.remember(line)
        elif expects is Expects.MESSAGE and line.startswith(b".") and line != b"." and line[1:2] != b".":
            await self.show(self._guide.note(DOT_NOTE, line=f".{line.decode('utf-8', 'replace')}"))
        return line

    async def show(self, text: str) -> None:
        """Print; above the prompt if there is one, which is then drawn again with what was typed so far."""
        if any(prompt.app.is_running for prompt in self._prompts.values()):
            await run_in_terminal(lambda: print(text, flush=True))
        else:
            print(text, flush=True)
