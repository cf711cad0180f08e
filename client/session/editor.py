"""The prompts of a typed session: one line for commands and answers, a small editor for messages.

Gives: `prompts`, one per thing that the server may expect.
Ctrl-C clears the line, as in a shell, and where it is empty the user leaves; so does Ctrl-D.
In the message Enter begins a new line, and lines before it can be corrected until a single dot on a line ends it;
a paste may hold a whole message, and commands behind it.
Limits: on a dumb terminal a message is typed line by line. Nothing of a message goes to the server before it is
ended, so that a server's time-out may come while it is written.
"""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.filters import is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import DummyHistory, History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import is_dumb_terminal

from ..language import Text
from ..terminal import fit
from .guide import Guide
from .smtp import Expects

PROMPTS = {
    Expects.COMMAND: Text("smtp> ", "smtp> "),
    Expects.MESSAGE: Text("message> ", "mensagem> "),
    Expects.RESPONSE: Text("answer> ", "resposta> "),
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
        else:
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
