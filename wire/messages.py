"""Every message that passes between the services, as values that nobody changes.

`SPEC.md` says who sends each one, when, and what a repeat means. Nothing here has behaviour; `codec.py` turns
these values into ZeroMQ frames and back, and refuses what does not fit.

Units: `time` and `deadline` are milliseconds since the Unix epoch, UTC; `offset`, `limit` and `staged` are octets.
"""

from __future__ import annotations

from typing import TypeAlias

from wire.outcomes import Outcome
from wire.records import record

# ---------------------------------------------------------------- gateway → worker: what a client did


@record
class Connected:
    """A client has connected; `peer` is its IP address in text form, without a port."""

    peer: str


@record
class Lines:
    """All complete lines at hand, without their line ends; `None` stands for a line that was over the limit."""

    lines: tuple[bytes | None, ...]


@record
class Body:
    """A piece of a message: dots unstuffed, line ends turned into LF.

    `offset` counts the octets of the pieces before this one. With `last` the client has said the end of data.
    `too_big`: it ran over the `limit` of the ReadBody, and what came after was read and thrown away.
    `bare`: somewhere so far a line ended otherwise than the session's lines do (RFC 5321 section 2.3.8).
    `lines`: with `last`, the command lines at hand behind the end of data, as in Lines (RFC 2920 section 3.1).
    """

    data: bytes
    offset: int
    last: bool
    too_big: bool = False
    bare: bool = False
    lines: tuple[bytes | None, ...] = ()


@record
class Disconnected:
    """The client vanished in the middle of a message whose first pieces had been handed on already."""


Input: TypeAlias = Connected | Lines | Body | Disconnected


@record
class Step:
    """One step of one session: the state it had and what its client did next.

    `time` is when the gateway read the input, and is the same however often the step is run. `peer` is the client's
    IP address where the session has no state yet, for the gateway greeted it with an `opening`.
    """

    session: str
    seq: int
    time: int
    state: bytes
    input: Input
    peer: str = ""


# ---------------------------------------------------------------- worker → gateway: what to do next


@record
class ReadLines:
    """Read command lines."""


@record
class ReadBody:
    """Read a dot-ended message; keep `limit` further octets, read and drop what is over that."""

    limit: int


@record
class Close:
    """Send the replies, then close the connection; whatever else the client sent is ignored."""


@record
class Injected:
    """A failure on cue: log `what`, wait `delay` milliseconds, only then send the replies and do `then`."""

    delay: int
    what: str
    then: ReadLines | ReadBody | Close


Next: TypeAlias = ReadLines | ReadBody | Close | Injected


@record
class StepDone:
    """The answer to a Step.

    `consumed`: how many of its lines were used (the rest is body, or comes again); 0 for inputs without lines.
    `replies`: the reply lines for the client, CRLF included, possibly none.
    `in_transaction`: a mail transaction is under way, so a gateway that shuts down lets it end.
    """

    session: str
    seq: int
    consumed: int
    state: bytes
    replies: bytes
    next: Next
    in_transaction: bool = False


@record
class StepRefused:
    """The worker did nothing with the step and hands it back for another worker.

    `reason` is "draining", or "state": the session's state has a version this worker does not know.
    """

    session: str
    seq: int
    reason: str


@record
class WorkerAlive:
    """Heartbeat and registration in one: a gateway that restarted knows the worker after the next one.

    `draining`: the worker takes no new step but still finishes those it has.
    `sessions`: those whose steps it has from this gateway; None where it does not tell.
    `opening`: the greeting, CRLF included, where it is the same for every client; empty: it takes a Connected step.
    """

    version: str
    in_flight: int
    draining: bool = False
    sessions: tuple[str, ...] | None = None
    opening: bytes = b""


@record
class WorkerGone:
    """The worker leaves; whatever it has not answered was not done."""


# ---------------------------------------------------------------- worker → store


@record
class Lookup:
    """Which mailbox does this address deliver to? An empty `domain` asks for the local part alone."""

    local: str
    domain: str


@record
class Check:
    """Can each of these mailboxes be written now?"""

    mailboxes: tuple[str, ...]


@record
class Stage:
    """Keep a piece of a large message until its Deliver; a piece with a known offset is a repeat."""

    delivery: str
    offset: int
    data: bytes


@record
class Deliver:
    """Store a message in every mailbox or in none, once per `delivery` however often this is asked.

    `sender` is the reverse-path, "" for the null one. `time` is when the message ended, and is part of what is
    written. `trace` is the Received: header with its LF. The message is the staged pieces, `staged` octets in
    all, followed by `data`.
    """

    delivery: str
    time: int
    sender: str
    mailboxes: tuple[str, ...]
    trace: bytes
    staged: int
    data: bytes


@record
class Discard:
    """Forget the staged pieces of a message that will not be delivered."""

    delivery: str


Question: TypeAlias = Lookup | Check | Stage | Deliver | Discard


@record
class Ask:
    """A question with the number its answer will carry; after `deadline` the store must not act on it."""

    request: int
    deadline: int
    question: Question


@record
class Ping:
    """The worker asks whether the store is there."""


# ---------------------------------------------------------------- store → worker


@record
class Answer:
    """The outcome of the Ask with the same `request` number of the same worker."""

    request: int
    outcome: Outcome


@record
class Pong:
    """The store is there. A new `instance` means that it restarted and that unanswered questions are lost."""

    instance: str


Message: TypeAlias = Step | StepDone | StepRefused | WorkerAlive | WorkerGone | Ask | Answer | Ping | Pong
