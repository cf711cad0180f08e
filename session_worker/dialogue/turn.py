"""What a handler of the dialogue gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from enum import Enum
from typing import Protocol, TypeAlias

from session_worker.dialogue.replies import Reply
from session_worker.dialogue.state import Session
from wire.limits import MAX_HOLDS
from wire.messages import Body, Client, Next, Question, ReadLines
from wire.outcomes import Outcome
from wire.records import Record


class SenderDomainRule(Enum):
    """When the sender's domain must be the domain said in the greeting."""

    HELO = "helo"  # sessions that said HELO: the course exercise's rule; EHLO names a host, not a mail domain
    ALWAYS = "always"
    NEVER = "never"


class Policy(Record):
    """The limits and habits of this server: the part of a worker's settings that decides replies.

    `domain` is its own name, `strict` the profile that tolerates no deviation from RFC 5321. `max_message_octets`
    counts a message's octets, `max_recipients` the recipients of one transaction, `max_errors` the 5xx replies that
    a session may get before it is closed. Where `explain` is on a session may ask to be told what is done with it,
    `worker` being the name of this process then. `faults` is None where nothing fails on cue.
    """

    domain: str = "correio.localhost"
    strict: bool = False
    sender_domain_rule: SenderDomainRule = SenderDomainRule.HELO
    max_message_octets: int = 32 * 1024 * 1024
    max_recipients: int = 1000
    max_errors: int = 20
    vrfy: bool = True
    explain: bool = False
    worker: str = ""
    faults: FailuresOnCue | None = None


class Command(Record):
    """A verb in capitals, and what follows it without blanks around."""

    verb: str
    argument: str


class Context(Record):
    """What a step is about, and the session as it is now.

    `time` is the step's, in ms since the epoch, `seq` its number; `message` is the number of the message that is
    under way, or next. `client` is who the client is.
    """

    policy: Policy
    session_id: str
    time: int
    session: Session
    seq: int = 0
    message: int = 1
    client: Client = Client()

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
HOLDS = MAX_HOLDS

# Whoever needs the store asks the store by yielding, is resumed with the outcome, and returns its turn.
Talk: TypeAlias = Generator[Question, Outcome, Turn]
# Serves one command.
Handler: TypeAlias = Callable[[Context, Command], Turn | Talk]


class FailuresOnCue(Protocol):
    """What takes the place of a turn, holds it back, or lets it be (`session_worker/faults`)."""

    def connected(self, context: Context, greeting: Turn) -> Turn:
        """The greeting of a new session."""
        ...

    def command(self, context: Context, command: Command, serve: Callable[[Context, Command], Talk]) -> Talk:
        """One command, served by `serve`."""
        ...

    def end(self, context: Context, body: Body, serve: Callable[[Context, Body], Talk]) -> Talk:
        """The end of data, served by `serve`."""
        ...
