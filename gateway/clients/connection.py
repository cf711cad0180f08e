"""One client's connection: what it sends becomes steps, what the steps answer is sent back, and it ends in time.

Gives: a `ClientConnection`, an asyncio protocol; `server.connections` makes them. It joins objects that have one duty
each: `Framer` makes lines and messages of octets, `Progress` numbers the steps and has the state,
`Flow` says whether to read on, `Ending` how it ends, and `Outbox` writes. One step is under way at a time.
Fails: a client that vanishes does not end its step: a message whose end has arrived is delivered, and one that was
handed on in part is called off by a `Disconnected` step.
Limits: while a step is under way, or while replies pile up that the client does not read, no step begins, and the
socket is read only up to READ_AHEAD, or as far as there is room (`room.py`). The connection sees that replies pile up
when it sends them, so one more step may have begun. After `idle_seconds` without an octet, or with too many unread
replies, the connection ends. An idle connection costs its memory and one timer, set again only when it runs out.
"""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.clients.crowd import Crowd
from gateway.clients.ending import Ending
from gateway.clients.framing import Framer
from gateway.clients.room import READ_AHEAD, SMALL_STATE, Flow
from gateway.telling.conversation import Conversation
from gateway.telling.farewells import Farewell
from gateway.telling.metrics import GatewayCounts
from gateway.workers.dispatcher import Dispatcher, Progress
from wire.limits import MAX_PIECE
from wire.messages import (
    Body,
    Client,
    Close,
    Connected,
    Disconnected,
    Injected,
    Input,
    Lines,
    ReadBody,
    ReadLines,
    StepDone,
)
from wire.records import replace

# Replies that wait here for a client that does not read them; over this, no further step begins.
UNREAD_REPLIES = 16 * 1024
# Octets of replies after which a client's next line takes a step though its answer is known: others have their turn.
_SAID_ENOUGH = 4 * 1024


class Outbox:
    """Replies to all clients, written at the end of the loop's turn in which they were owed.

    Writing to a client that sleeps makes the kernel wake it, which costs more than the writing; of clients that run
    in one process the first one's reply wakes all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, counts: GatewayCounts) -> None:
        self.owed: dict[asyncio.Transport, bytes] = {}
        self._loop = loop
        self._counts = counts

    def owe(self, transport: asyncio.Transport, replies: bytes) -> None:
        """Have this written soon, after what is owed already."""
        owed = self.owed
        self._counts.octets_out += len(replies)
        if transport in owed:
            owed[transport] += replies
        else:
            if not owed:
                self._loop.call_soon(self._write)
            owed[transport] = replies

    def write(self, transport: asyncio.Transport) -> None:
        """Write at once what is owed to this client."""
        if octets := self.owed.pop(transport, b""):
            transport.write(octets)

    def _write(self) -> None:
        owed, self.owed = self.owed, {}
        for transport, octets in owed.items():
            transport.write(octets)


class ClientConnection(asyncio.BufferedProtocol):
    """A client's connection; `connections` makes it with all that it needs."""

    __slots__ = (
        "_begun", "_conversation", "_counts", "_crowd", "_dispatcher", "_end_read", "_ending", "_flow", "_framer",
        "_kept", "_outbox", "_progress", "_transport", "submitted",
    )  # fmt: skip

    def __init__(
        self, progress: Progress, outbox: Outbox, crowd: Crowd, dispatcher: Dispatcher, conversation: Conversation,
        counts: GatewayCounts, domain: str, idle_seconds: float,
    ) -> None:  # fmt: skip
        """Parameters are as in `connections`."""
        self._progress = progress
        self._outbox = outbox
        self._crowd = crowd
        self._dispatcher = dispatcher
        self._conversation = conversation
        self._counts = counts
        self._framer = Framer()
        self._flow = Flow(crowd.room, self)
        self._ending = Ending(self, progress, self._flow, outbox, conversation, counts, domain, idle_seconds)
        # Octets of its state that are counted against the crowd's room for states.
        self._kept = 0
        # When the step under way was submitted, by the dispatcher's clock, and by the conversation's; 0 if nobody is
        # told.
        self.submitted = 0.0
        self._begun = 0.0
        # When the latest octets came, if they had to wait for the step of a piece before theirs.
        self._end_read = 0.0

    # ------------------------------------------------------------ called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        began = self._dispatcher.clock()
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNREAD_REPLIES)
        # None if the client has gone already. A link-local IPv6 address carries its zone after a %.
        peer = (transport.get_extra_info("peername") or ("unknown",))[0].partition("%")[0]
        self._progress.client = Client(peer)
        self._conversation.connected(self._progress.id, peer)
        self._flow.open(self._transport)
        self._ending.watch(self._transport)
        refusal = self._crowd.enter(self, peer)
        if refusal is not None:
            self._ending.farewell(refusal)
        elif opening := self._dispatcher.opening:
            self._progress.skip()
            self._ending.say(opening)
            self._counts.greeting.add(self._dispatcher.clock() - began)
        else:
            self._submit(Connected())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # it is the reader's buffer that says
        flow = self._flow
        return flow.buffer(self._framer.held) if flow.octets else self._crowd.room.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._ending.open:
            if not self._flow.unread:
                self._ending.last_sign = self._ending.loop.time()
            self._counts.octets_in += nbytes
            progress = self._progress
            self._end_read = self._dispatcher.clock() if progress.body_open and progress.step else 0.0
            self._framer.feed(self._crowd.room.large_buffer[:nbytes])
            self.advance()

    def eof_received(self) -> bool:
        self._flow.eof = True
        if self._ending.open:
            self.advance()
        else:
            self._transport.close()
        # What came before is still to be answered; `advance` closes.
        return True

    def pause_writing(self) -> None:
        self._flow.unread = True

    def resume_writing(self) -> None:
        self._flow.unread = False
        self._ending.last_sign = self._ending.loop.time()
        self.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending.over(exc)
        self._crowd.leave(self, self._kept)
        self.drop_input()

    # ------------------------------------------------------------ called by the dispatcher

    def on_done(self, done: StepDone, worker: bytes) -> None:
        """The step has been done by a worker: send its replies and read on."""
        if isinstance(done.next, Injected):
            # The step counts as under way meanwhile, so nobody takes the client for idle.
            self._conversation.injected(self._progress.id, self._progress.client.address, done.next.what)
            now = replace(done, next=done.next.then)
            self._ending.loop.call_later(done.next.delay / 1000, self.on_done, now, worker)
            return
        step = self._progress.end(done)
        if self._flow.in_step:
            self._flow.step_ends()
        spoken = step.input
        if spoken.__class__ is Body and spoken.last:
            self._counts.answered(done.told)
            if self._ending.open:
                self._counts.message.add(self._dispatcher.clock() - (self._end_read or self.submitted))
        elif step.seq == 0:
            self._counts.greeting.add(self._dispatcher.clock() - self.submitted)
        if self._ending.open:
            self._ending.last_sign = self._ending.loop.time()
            self._take(spoken, done, worker)
        else:
            self._progress.take(done)
            self._call_off_body()

    def on_failed(self, farewell: Farewell) -> None:
        """The step will not be done: the session cannot go on."""
        self._progress.step = None
        self._progress.body_open = False
        self._flow.step_ends()
        if self._ending.open:
            self._ending.farewell(farewell)

    # ------------------------------------------------------------ called by those who share room and time

    def hand_on(self) -> None:
        """Others wait for room: have the next step take what there is."""
        if self._flow.unread and not self._framer.in_message:
            # Commands that came behind a message, of which none is served as long as no reply is read.
            self.abort("the client does not read")
            return
        self._flow.shrink(self._framer.held)
        self.advance()

    def advance(self) -> None:
        """Answer what the client has said, by a step or without, if it may be now; then read on, or not, by room."""
        if not self._ending.open:
            return
        progress, framer, flow = self._progress, self._framer, self._flow
        if self._crowd.draining and progress.step is None and self._crowd.ends(progress.in_transaction):
            self._ending.farewell(Farewell.SHUTDOWN)
            return
        # A piece that is not the last has no reply.
        if progress.step is None and (not flow.unread or framer.in_message):
            spoken = framer.take(flow.octets or MAX_PIECE)
            if spoken is not None:
                known = None
                if spoken.__class__ is Lines and len(self._outbox.owed.get(self._transport, b"")) <= _SAID_ENOUGH:
                    known = self._dispatcher.known(progress, spoken.lines)
                if known is not None:
                    self._counts.answered_at_once(known.done.told)
                    self._begun = 0.0
                    self._take(spoken, known.done, known.worker)
                    return
                self._submit(spoken)
            elif flow.eof:
                self._ending.close("the client left")
                return
        if flow.octets or not flow.reading or framer.held >= READ_AHEAD:
            flow.press_back(framer, self._crowd.piece)

    def abort(self, why: str) -> None:
        """End the connection at once."""
        self._ending.abort(why)

    def drop_input(self) -> None:
        """Nothing more of what the client has sent or will send is used."""
        self._framer = Framer()
        self._flow.close()
        self._call_off_body()
        # It may be large, and the client may take its time to read the last reply.
        self._progress.state = b""

    # ------------------------------------------------------------ inside

    def _submit(self, spoken: Input) -> None:
        step = self._progress.begin(spoken)
        self._begun = self._conversation.clock() if self._conversation.has_audience else 0.0
        if spoken.__class__ is Body and self._flow.octets:
            self._flow.step_begins(len(spoken.data), self._framer.held)
        self._dispatcher.submit(step, self)

    def _take(self, spoken: Input, done: StepDone, worker: bytes) -> None:
        """Take an answer: what it says is sent, and what it wants is read."""
        progress = self._progress
        progress.take(done)
        if self._conversation.has_audience:
            self._conversation.answered(progress.id, progress.client.address, spoken, done, worker, self._begun)
        if done.replies:
            self._outbox.owe(self._transport, done.replies)
        then = done.next
        if then.__class__ is Close:
            self._ending.close("the server said good-bye")
            return
        kept = len(done.state)
        if kept <= SMALL_STATE:
            kept = 0
        if kept != self._kept:
            if not self._crowd.keep(kept - self._kept):
                self._ending.farewell(Farewell.NO_ROOM)
                return
            self._kept = kept
        assert isinstance(then, ReadLines | ReadBody)
        more = self._framer.resume(done.consumed, then)
        # With nothing at hand, the stream open, reading on and no shutdown there is nothing to do: the usual case.
        if more or self._flow.eof or not self._flow.reading or self._crowd.draining:
            self.advance()

    def _call_off_body(self) -> None:
        """Have the first pieces of a message forgotten whose last one will not come."""
        if self._progress.body_open and self._progress.step is None:
            self._progress.body_open = False
            self._submit(Disconnected())
