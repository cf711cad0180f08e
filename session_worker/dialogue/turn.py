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

    `holds`: for so many ms the same command in the same state would be served the same (wire/SPEC.md); 0: who knows.
    `delivery`: the id of the message that the reply says was delivered.
    """

    session: Session
    reply: Reply | None
    next: Next = READ_LINES
    holds: int = 0
    delivery: str = ""


# How long that holds, in ms, which depends on nothing but the state and the command. It would be for ever; but a
# release, or a setting, can be another one soon.
HOLDS = 1000


# The verb of what is no line, and of a line that has none of ours (wire/SPEC.md, `told`).
MESSAGE = "message"
OTHER = ""

# Whoever needs the store asks the store by yielding, is resumed with the outcome, and returns its turn.
Talk: TypeAlias = Generator[Question, Outcome, Turn]
# Serves one command.
Handler: TypeAlias = Callable[[Context, Command], Turn | Talk]
