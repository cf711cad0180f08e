"""What a handler of the dialogue is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias

from session_worker.dialogue.replies import Reply
from session_worker.dialogue.rules import Rules
from session_worker.dialogue.state import Session
from session_worker.dialogue.transaction import Command
from wire.messages import Client, Next, Question, ReadLines
from wire.outcomes import Outcome
from wire.records import Record, replace


class Context(Record):
    """What a step is about, and the session as it is now.

    `time` is the step's, in ms since the epoch, `seq` its number; `message` is the number of the message that is
    under way, or next. `client` is who the client is.
    """

    rules: Rules
    session_id: str
    time: int
    session: Session
    seq: int = 0
    message: int = 1
    client: Client = Client()

    def after(self, session: Session) -> Context:
        """The same, with the session as it is after a command."""
        return replace(self, session=session)

    @property
    def delivery(self) -> str:
        """The delivery id of the message: the same however often the step is run."""
        return f"{self.session_id}.{self.message}"


READ_LINES = ReadLines()


class Turn(Record):
    """One exchange: the session after it, the reply (None: nothing is said yet) and what to read next.

    `again`: for so many ms the same command in the same session, or one like it, would be served the same; `epoch`:
    or as long as it is the store's, where it is not 0. `holds`: the same, with the store's word for how long.
    `delivery`: the id of the message that the reply says was delivered.
    """

    session: Session
    reply: Reply | None
    next: Next = READ_LINES
    again: int = 0
    epoch: int = 0
    holds: int = 0
    delivery: str = ""


# What depends on nothing but the session and the command would be the same for ever; but a release, or a setting, can
# be another one soon.
AGAIN = 1000
# The same for what the store decides, where nobody knows whether its epoch is still the same.
STORE_AGAIN = 250


# The verb of what is no line, and of a line that has none of ours (wire/SPEC.md, `told`).
MESSAGE = "message"
OTHER = ""

# Whoever needs the store asks the store by yielding, is resumed with the outcome, and returns its turn.
Talk: TypeAlias = Generator[Question, Outcome, Turn]
# Serves one command.
Handler: TypeAlias = Callable[[Context, Command], Turn | Talk]
