"""Every message that passes between the services, as values that nobody changes.

`SPEC.md` says who sends each one, when, and what a repeat means. Nothing here has behaviour; `codec.py` turns
these values into ZeroMQ frames and back, and refuses what does not fit.

Units: `time` and `deadline` are milliseconds since the Unix epoch, UTC; `offset`, `limit` and `staged` are octets.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from wire import limits
from wire.fields import (
    Carry,
    Holds,
    Id,
    Line,
    Mailboxes,
    Name,
    Number,
    Originals,
    Piece,
    Replies,
    Sessions,
    SomeLines,
    State,
    Text,
    Trace,
    WireRecord,
)
from wire.outcomes import Said

# ---------------------------------------------------------------- gateway → worker: what a client did


class Connected(WireRecord, tag="connected"):
    """A client has connected."""


class Lines(WireRecord, tag="lines"):
    """All complete lines at hand, without their line ends; `None` stands for a line that was over the limit."""

    lines: SomeLines


class Body(WireRecord, tag="body"):
    """A piece of a message: dots unstuffed, line ends turned into LF.

    `offset` counts the octets of the pieces before this one. With `last` the client has said the end of data.
    `too_big`: it ran over the `limit` of the ReadBody, and what came after was read and thrown away.
    `bare`: somewhere so far there was a CR or an LF that ends no line of this session (RFC 5321 section 2.3.8).
    """

    data: Piece
    offset: Number
    last: bool
    too_big: bool = False
    bare: bool = False


class Disconnected(WireRecord, tag="disconnected"):
    """The client vanished in the middle of a message whose first pieces had been handed on already."""


Input: TypeAlias = Connected | Lines | Body | Disconnected


class Client(WireRecord):
    """Who the client is, as far as the gateway knows; `address` is its IP address in text form, without a port."""

    address: Text = ""


class Step(WireRecord, tag="step"):
    """One step of one session: the state it had and what its client did next.

    `time` is when the gateway read the input, and is the same however often the step is run. `client` is who the
    client is, and `carry` what the session's latest StepDone with a `carry` wanted back; empty before there was one.
    `message` is the number, from 1, that the message under way has in the session or, between two, the next one.
    `waited` is how long, in ms, the step had waited when it was sent to this worker: for any worker, or with others
    that were lost.
    """

    session: Id
    seq: Number
    time: Number
    state: State
    input: Input
    client: Client = Client()
    carry: Carry = b""
    message: Number = 0
    waited: Number = 0


# ---------------------------------------------------------------- worker → gateway: what to do next


class ReadLines(WireRecord, tag="read-lines"):
    """Read command lines."""


class ReadBody(WireRecord, tag="read-body"):
    """Read a dot-ended message; keep `limit` further octets, read and drop what is over that."""

    limit: Number


class Close(WireRecord, tag="close"):
    """Send the replies, then close the connection; whatever else the client sent is ignored."""


class Injected(WireRecord, tag="injected"):
    """A failure on cue: log `what`, wait `delay` milliseconds, only then send the replies and do `then`."""

    delay: Number
    what: Name
    then: ReadLines | ReadBody | Close


Next: TypeAlias = ReadLines | ReadBody | Close | Injected


class Told(WireRecord):
    """What became of one line or message, for whoever counts or shows it.

    `verb`: that of the line, in capitals, if the worker knows it; "message" for a message; "" for anything else.
    `code`: the reply's; 0: there was none. `secret`: the text of the line may be shown to nobody.
    """

    verb: Text
    code: Number
    secret: bool = False


class StepDone(WireRecord, tag="done"):
    """The answer to a Step.

    `consumed`: how many of its Lines were used (the rest is body, or comes again); 0 for other inputs.
    `replies`: the reply lines for the client, CRLF included, possibly none.
    `in_transaction`: a mail transaction is under way, so a gateway that shuts down lets it end.
    `carry`: octets that the next step of the session is to bring back; None: those that this one brought.
    `holds`: for so many ms, from when the gateway began the step, the same Lines in the same state would be answered
    the same in any session, by any worker.
    `told`: one for each line that was consumed, or for the message that has ended.
    `delivery`: the id of the message, where the replies say that it was delivered.
    `ahead`: what the step would be answered that most clients have done next; None: nothing is known of it.
    """

    session: Id
    seq: Number
    consumed: Number
    state: State
    replies: Replies
    next: Next
    in_transaction: bool = False
    carry: Carry | None = None
    holds: Holds = 0
    told: Annotated[tuple[Told, ...], Meta(max_length=limits.MAX_LINES)] = ()
    delivery: Text = ""
    ahead: Ahead | None = None


class Ahead(WireRecord):
    """The answer to these Lines, a single one, in the state of the StepDone that it comes with."""

    lines: SomeLines
    done: StepDone


class StepRefused(WireRecord, tag="refused"):
    """The worker did nothing with the step and hands it back for another worker.

    `reason` is "draining", or "state": the session's state has a version this worker does not know.
    """

    session: Id
    seq: Number
    reason: Literal["draining", "state"]


class WorkerAlive(WireRecord, tag="alive"):
    """Heartbeat and registration in one: a gateway that restarted knows the worker after the next one.

    `draining`: the worker takes no new step but still finishes those it has.
    `sessions`: those whose steps it has from this gateway; None where it does not tell.
    `opening`: the greeting, CRLF included, where it is the same for every client; empty: it takes a Connected step.
    `ping`: the number of the Ping that this answers; whatever step was sent before that has come too, or never will.
    """

    version: Name
    draining: bool = False
    sessions: Sessions = None
    opening: Line = b""
    ping: Number = 0


class WorkerGone(WireRecord, tag="gone"):
    """The worker leaves; whatever it has not answered was not done."""


# ---------------------------------------------------------------- worker → store


class Lookup(WireRecord, tag="lookup"):
    """Which mailbox does this address deliver to? An empty `domain` asks for the local part alone.

    A local part may be empty as well, in quotes: `""@example.com` (RFC 5321 section 4.1.2, Quoted-string).
    """

    local: Text
    domain: Text


class Check(WireRecord, tag="check"):
    """Can each of these mailboxes be written now?"""

    mailboxes: Mailboxes


class Stage(WireRecord, tag="stage"):
    """Keep a piece of a large message until its Deliver; a piece with a known offset is a repeat."""

    delivery: Id
    offset: Number
    data: Piece


class Deliver(WireRecord, tag="deliver"):
    """Store a message in every mailbox or in none, once per `delivery` however often this is asked.

    `sender` is the reverse-path, "" for the null one. `time` is when the message ended, and is part of what is
    written. `trace` is the Received: header with its LF. The message is the staged pieces, `staged` octets in
    all, followed by `data`. `originals` are the recipients of the envelope that have another address than their
    mailbox: each with its mailbox's place in `mailboxes`.
    """

    delivery: Id
    time: Number
    sender: Text
    mailboxes: Mailboxes
    trace: Trace
    staged: Number
    data: Piece
    originals: Originals = ()


class Discard(WireRecord, tag="discard"):
    """Forget the staged pieces of a message that will not be delivered."""

    delivery: Id


Question: TypeAlias = Lookup | Check | Stage | Deliver | Discard


class Ask(WireRecord, tag="ask"):
    """A question with the number its answer will carry; after `deadline` the store must not act on it."""

    request: Number
    deadline: Number
    question: Question


class Ping(WireRecord, tag="ping"):
    """A mark in the order of what is sent: its number comes back when all before it has been come to. 0: no answer.

    Between worker and store it is also how the worker learns whether the store is there.
    """

    number: Number = 0


# ---------------------------------------------------------------- store → worker


class Answer(WireRecord, tag="answer"):
    """The outcome of the Ask with the same `request` number of the same worker."""

    request: Number
    outcome: Said


class Pong(WireRecord, tag="pong"):
    """The store is there. A new `instance` means that it restarted and that unanswered questions are lost.

    `ping`: the number of the Ping; whatever was asked before it has been answered, or never came.
    """

    instance: Name
    ping: Number = 0


Message: TypeAlias = Step | StepDone | StepRefused | WorkerAlive | WorkerGone | Ask | Answer | Ping | Pong
