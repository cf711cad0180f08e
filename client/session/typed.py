"""Lines typed on a terminal: a prompt for commands and answers, a small editor for messages, completion, a history.

Gives: `TypedLines`, which `interactive.converse` takes its lines from; what the server says while the user types
appears above the prompt at once. `prompts` makes a prompt for each thing that the server may expect.
Ctrl-C clears the line, as in a shell, and where it is empty the user leaves; so does Ctrl-D.
In the message Enter begins a new line, and lines before it can be corrected until a single dot on a line ends it;
a paste may hold a whole message, and commands behind it.
Fails: a history that cannot be kept in its file is kept in memory; nobody is bothered with it.
Limits: the history has commands only. Lines of a message, answers to the server's questions, and AUTH with what
follows it are never written down. On a dumb terminal a message is typed line by line. Nothing of a message goes to
the server before it is ended, so that a server's time-out may come while it is written.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import DummyHistory, FileHistory, History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import is_dumb_terminal

from ..language import Language, Phrase
from ..terminal import fit
from .guide import Guide
from .help import candidates
from .smtp import Expects
from .standing import Standing

DOT_NOTE = Phrase(
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
    """Lines from a person at a terminal; see `interactive.LineSource`."""

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


PROMPTS = {
    Expects.COMMAND: Phrase("smtp> ", "smtp> "),
    Expects.MESSAGE: Phrase("message> ", "mensagem> "),
    Expects.RESPONSE: Phrase("answer> ", "resposta> "),
}
_STYLE = Style.from_dict({"bottom-toolbar": "noreverse bg:ansiblue ansiwhite", "prompt": "bold"})
# Without colours the status line is told from the rest by being reversed, which is prompt_toolkit's own style.
_PLAIN = Style.from_dict({"prompt": "bold"})


def prompts(guide: Guide, history: History, completer: Completer) -> dict[Expects, PromptSession[str]]:
    """A prompt for each thing that the server may expect; `history` is for commands alone."""

    def prompt(
        expects: Expects, history: History, completer: Completer | None = None, *, multiline: bool = False
    ) -> PromptSession[str]:
        sign: StyleAndTextTuples = [("class:prompt", PROMPTS[expects].say(guide.language))]
        return PromptSession(
            sign,
            history=history,
            completer=completer,
            # A menu that opens by itself would be in the way, and take the arrow keys from the history.
            complete_while_typing=False,
            multiline=multiline,
            prompt_continuation=sign,
            key_bindings=merge_key_bindings(
                [_interrupt_key(), *([_message_keys()] if multiline else [_tab_key(completer)] if completer else [])]
            ),
            bottom_toolbar=_status(guide, expects),
            style=_STYLE if guide.paint.enabled else _PLAIN,
            color_depth=ColorDepth.DEPTH_4_BIT if guide.paint.enabled else ColorDepth.DEPTH_1_BIT,
        )

    return {
        Expects.COMMAND: prompt(Expects.COMMAND, history, completer),
        Expects.MESSAGE: prompt(Expects.MESSAGE, DummyHistory(), multiline=not is_dumb_terminal()),
        Expects.RESPONSE: prompt(Expects.RESPONSE, DummyHistory()),
    }


def _status(guide: Guide, expects: Expects) -> Callable[[], str]:
    def status() -> str:
        # A column is left free on either side.
        lines = fit(guide.status(expects), get_app().output.get_size().columns - 2).split("\n")
        return "\n".join(f" {line} " for line in lines)

    return status


def _interrupt_key() -> KeyBindings:
    keys = KeyBindings()

    # The key, and the signal that somebody sends. A search in the history has a Ctrl-C of its own.
    @keys.add("c-c", filter=~is_searching)
    @keys.add("<sigint>", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.document.current_line:
            _clear_line(event.current_buffer)
        elif event.app.future is not None:  # the line may be taken by now, and the prompt be gone
            event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")

    return keys


def _clear_line(buffer: Buffer) -> None:
    if "\n" not in buffer.text:
        # The arrow keys begin at the end of the history again.
        buffer.reset()
        return
    line = buffer.document.current_line
    buffer.cursor_position += buffer.document.get_start_of_line_position()
    buffer.delete(len(line))


def _tab_key(completer: Completer) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("tab")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and len(buffer.complete_state.completions) > 1:
            buffer.complete_next()
        else:
            # The likeliest at once: prompt_toolkit by itself shows a menu after a while, and Enter would send half a
            # line. Found here and now, so that keys typed fast behind it meet what it has brought.
            found = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
            buffer.complete_state = CompletionState(buffer.document, found) if found else None
            if found:
                buffer.go_to_completion(0)

    return keys


def ended(text: str) -> bool:
    """Whether a line of the text is a single dot: the end of a message, whatever comes behind it."""
    return "." in text.split("\n")


def _message_keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if ended(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return keys


class CommandCompleter(Completer):
    """What Tab offers at the prompt for commands."""

    def __init__(self, standing: Standing, language: Language) -> None:
        self._standing = standing
        self._language = language

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """The lines that the one typed so far can become."""
        text = document.text_before_cursor
        for line, what in candidates(self._standing, text):
            yield Completion(line, start_position=-len(text), display_meta=what.say(self._language))
