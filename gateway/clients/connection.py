"""One client's connection: what it sends becomes steps, what the steps answer is sent back, and it ends in time.

Gives: a `Session`, an asyncio protocol. One step of it is under way at a time.
Fails: a client that vanishes does not end its step: a message whose end has arrived is delivered, and one that was
handed on in part is called off by a `Disconnected` step.
Limits: while a step is under way, or replies pile up that the client does not read, no step begins and the socket is
read no further than READ_AHEAD, or than there is room for (`room.py`). That they pile up is seen when they are sent:
one more step may have begun. After `idle_seconds` without an octet, or with too many unread replies, the connection
ends. A session that is idle costs its memory and one timer, set again when it runs out and not before.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, cast

from gateway.clients.framing import Framer
from gateway.clients.lingering import Lingering
from gateway.clients.room import READ_AHEAD, SMALL_STATE, Part
from gateway.telling.farewells import Farewell
from gateway.workers.answers import Answer
from wire.limits import MAX_PIECE
from wire.messages import (
    Body,
    Client,
    Close,
    Connected,
    Disconnected,
    Foreseen,
    Injected,
    Input,
    Lines,
    ReadBody,
    ReadLines,
    Step,
    StepDone,
)
from wire.records import replace

if TYPE_CHECKING:
    from gateway.clients.registry import Registry

# Replies that wait here for a client that does not read them; over this, no further step begins.
UNREAD_REPLIES = 16 * 1024
# Octets of replies after which a client's next line takes a step though its answer is known: others have their turn.
_SAID_ENOUGH = 4 * 1024


class _Phase(Enum):
    OPEN = "open"  # the client is served
    CLOSING = "closing"  # the last reply is on its way, input is dropped
    GONE = "gone"  # there is no connection any more


class Session(asyncio.BufferedProtocol):
    """A client's connection; `registry` is what all of them share."""

    __slots__ = (
        "_begun",
        "_body_open",
        "_carry",
        "_end_read",
        "_eof",
        "_foreseen",
        "_framer",
        "_heard",
        "_in_transaction",
        "_message",
        "_part",
        "_phase",
        "_reading",
        "_registry",
        "_seen_before",
        "_seq",
        "_state",
        "_step",
        "_timer",
        "_transport",
        "_unread",
        "_unsent",
        "_why",
        "_worker",
        "admitted",
        "id",
        "kept",
        "peer",
        "submitted",
    )

    def __init__(self, registry: Registry) -> None:
        self.id = registry.mint()
        self.admitted, self.submitted = False, 0.0
        # Octets of its state that are counted against the registry's room for states.
        self.kept = 0
        self._registry = registry
        self._phase = _Phase.OPEN
        self._framer = Framer()
        self.peer = ""
        self._seq = 0
        # The number of the message that is being read, or next.
        self._message = 1
        self._state = self._carry = b""
        # Others have come to this state before: their answer was ours, or a message has ended, or nothing was said.
        self._seen_before = True
        # What the latest answer's worker would answer to what the client may say next, and which worker that is.
        self._foreseen: tuple[Foreseen, ...] = ()
        self._worker = b""
        self._step: Step | None = None
        # When the step began, by the conversation's clock; 0 if nobody is told.
        self._begun = 0.0
        # A piece of a message was handed on, and the last one was not.
        self._body_open = False
        # When the latest octets came, if they had to wait for the step of a piece before theirs.
        self._end_read = 0.0
        self._in_transaction = False
        self._part = Part(registry.room, self)
        self._reading = True
        # Replies pile up that the client does not read.
        self._unread = False
        # Replies that are sent at the end of this turn of the loop.
        self._unsent = b""
        # The client has said that it sends no more.
        self._eof = False
        self._heard = registry.loop.time()
        self._why = "the client left"

    # ------------------------------------------------------------ called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        began = self._registry.dispatcher.clock()
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNREAD_REPLIES)
        # None if the client has gone already. A link-local IPv6 address carries its zone after a %.
        self.peer = (transport.get_extra_info("peername") or ("unknown",))[0].partition("%")[0]
        self._registry.conversation.connected(self.id, self.peer)
        loop, idle = self._registry.loop, self._registry.idle_seconds
        self._timer: asyncio.TimerHandle | Lingering = loop.call_later(idle, self._look_at_clock)
        refusal = self._registry.enter(self)
        if refusal is not None:
            self._farewell(refusal)
            return
        opening = self._registry.dispatcher.pool.opening
        if opening:
            # Number 0 is the Connected step's, which is spared.
            self._seq = 1
            self._say(opening)
            self._registry.counts.greeting.add(self._registry.dispatcher.clock() - began)
        else:
            self._submit(Connected(self.peer))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # it is the reader's buffer that says
        part = self._part
        return part.buffer(self._framer.held) if part.octets else self._registry.room.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._phase is _Phase.OPEN:
            if not self._unread:
                self._heard = self._registry.loop.time()
            self._registry.counts.octets_in += nbytes
            self._end_read = self._registry.dispatcher.clock() if self._body_open and self._step else 0.0
            self._framer.feed(self._registry.room.large_buffer[:nbytes])
            self.advance()

    def eof_received(self) -> bool:
        self._eof = True
        if self._phase is _Phase.CLOSING:
            self._transport.close()
        else:
            self.advance()
        # What came before is still to be answered; `advance` closes.
        return True

    def pause_writing(self) -> None:
        self._unread = True

    def resume_writing(self) -> None:
        self._unread = False
        self._heard = self._registry.loop.time()
        self.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase is _Phase.OPEN and exc is not None:
            self._why = f"the connection broke: {exc}"
        self._phase = _Phase.GONE
        self._unsent, self._framer = b"", Framer()
        self._timer.cancel()
        self._registry.leave(self)
        self._registry.conversation.closed(self.id, self.peer, self._why)
        self._part.close()
        self._call_off_body()

    # ------------------------------------------------------------ called by the dispatcher

    def on_done(self, done: StepDone, worker: bytes) -> None:
        """The step has been done by a worker: send its replies and read on."""
        if isinstance(done.next, Injected):
            # The step counts as under way meanwhile, so nobody takes the session for idle.
            self._registry.conversation.injected(self.id, self.peer, done.next.what)
            now = replace(done, next=done.next.then)
            self._registry.loop.call_later(done.next.delay / 1000, self.on_done, now, worker)
            return
        step, self._step = self._step, None
        assert step is not None
        if self._part.in_step:
            self._part.step_ends()
        registry, spoken = self._registry, step.input
        if done.next.__class__ is Close:
            self._body_open = False
        registry.answers.learn(step, done, worker, self.submitted, seen_before=self._seen_before)
        self._seen_before = spoken.__class__ is not Lines
        if spoken.__class__ is Body and spoken.last:
            self._message += 1
            registry.counts.answered(done.replies)
            if self._phase is _Phase.OPEN:
                registry.counts.message.add(registry.dispatcher.clock() - (self._end_read or self.submitted))
        elif step.seq == 0:
            registry.counts.greeting.add(registry.dispatcher.clock() - self.submitted)
        if self._phase is _Phase.OPEN:
            self._heard = registry.loop.time()
            self._go_on(spoken, done, worker)
        else:
            self._state, self._carry = done.state, self._carry if done.carry is None else done.carry
            self._call_off_body()

    def on_failed(self, farewell: Farewell) -> None:
        """The step will not be done: the session cannot go on."""
        self._step = None
        self._part.step_ends()
        self._body_open = False
        if self._phase is _Phase.OPEN:
            self._farewell(farewell)

    # ------------------------------------------------------------ called by the room

    def hand_on(self) -> None:
        """Others wait for room: have the next step take what there is."""
        if self._unread and not self._framer.in_message:
            # Commands that came behind a message, of which none is served as long as no reply is read.
            self.abort("the client does not read")
            return
        self._part.shrink(self._framer.held)
        self.advance()

    # ------------------------------------------------------------ called by the registry, and by the above

    def advance(self) -> None:
        """Begin the next step if there is one and it may begin; otherwise see that reading is paused or goes on."""
        if self._phase is not _Phase.OPEN:
            return
        if self._registry.draining and self._step is None and self._registry.ends(self._in_transaction):
            self._farewell(Farewell.SHUTDOWN)
            return
        # A piece that is not the last has no reply.
        if self._step is None and (not self._unread or self._framer.in_message):
            spoken = self._framer.take(self._part.octets or MAX_PIECE)
            if spoken is not None:
                known = self._known(spoken)
                if known is None:
                    self._submit(spoken)
                else:
                    for verb, code in known.counted:
                        self._registry.counts.known[verb, code] += 1
                    self._begun, self._seen_before = 0.0, True
                    self._go_on(spoken, known.done, known.worker)
                    return
            elif self._eof:
                self._close("the client left")
                return
        self._press_back()

    def abort(self, why: str) -> None:
        """End the connection at once."""
        if self._phase is _Phase.OPEN:
            self._why = why
        # Nothing may be written to a transport that is closed, and it is before `connection_lost` comes.
        self._unsent = b""
        self._transport.abort()

    # ------------------------------------------------------------ inside

    def _go_on(self, spoken: Input, done: StepDone, worker: bytes) -> None:
        """Take an answer: what it says is sent, what it foresees is kept, and what it wants is read."""
        registry = self._registry
        self._state, self._carry = done.state, self._carry if done.carry is None else done.carry
        self._in_transaction = done.in_transaction
        self._foreseen = done.foreseen
        self._worker = worker
        if registry.conversation.told:
            registry.conversation.answered(self.id, self.peer, spoken, done, worker, self._begun)
        if done.replies:
            self._owe(done.replies)
        then = done.next
        if then.__class__ is Close:
            self._close("the server said good-bye")
            return
        large = done.in_transaction and len(done.state) > SMALL_STATE
        if (large or self.kept) and not registry.keep(self, done):
            self._farewell(Farewell.NO_ROOM)
            return
        assert isinstance(then, ReadLines | ReadBody)
        more = self._framer.resume(done.consumed, then)
        # With nothing at hand, the stream open, reading on and no shutdown there is nothing to do: the usual case.
        if more or self._eof or not self._reading or registry.draining:
            self.advance()

    def _known(self, spoken: Input) -> Answer | None:
        """The answer to what was said, if it takes no step."""
        if not isinstance(spoken, Lines) or len(self._unsent) > _SAID_ENOUGH:
            return None
        registry, now = self._registry, self._registry.dispatcher.clock()
        if self._foreseen and self._worker in registry.dispatcher.pool:
            seen = registry.answers.foreseen(self._foreseen, spoken, registry.now_ms(), now)
            if seen is not None:
                done = StepDone(self.id, self._seq, 1, seen.state, seen.replies, seen.next, seen.in_transaction)
                return Answer(done, self._worker, ((seen.lines[0], seen.replies[:3]),))
        return registry.answers.find(self._state, "" if self._state else self.peer, spoken.lines, now)

    def _submit(self, spoken: Input) -> None:
        peer, now = "" if self._state else self.peer, self._registry.now_ms()
        client, state = Client(self.peer), self._state
        step = self._step = Step(self.id, self._seq, now, state, spoken, peer, self._message, 0, client, self._carry)
        self._seq += 1
        conversation = self._registry.conversation
        self._begun = conversation.clock() if conversation.told else 0.0
        if isinstance(spoken, Body):
            self._body_open = not spoken.last
            if self._part.octets:
                self._part.step_begins(len(spoken.data), self._framer.held)
        self._registry.dispatcher.submit(step, self)

    def _call_off_body(self) -> None:
        """Have the first pieces of a message forgotten whose last one will not come."""
        if self._body_open and self._step is None:
            self._body_open = False
            self._submit(Disconnected())

    def _press_back(self) -> None:
        """Read the socket only while what it brings has room."""
        part, framer = self._part, self._framer
        reading = part.may_fill(framer, self._registry.piece) if part.octets or framer.held >= READ_AHEAD else True
        if reading is not self._reading and not self._eof:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def send(self) -> None:
        """Send the replies that wait for the end of this turn of the loop."""
        if self._unsent:
            unsent, self._unsent = self._unsent, b""
            self._transport.write(unsent)

    def _owe(self, replies: bytes) -> None:
        """Send replies at the end of this turn of the loop."""
        self._registry.counts.octets_out += len(replies)
        if not self._unsent:
            self._registry.write_soon(self)
        self._unsent += replies

    def _say(self, replies: bytes) -> None:
        """What the gateway says by itself."""
        self._registry.conversation.said(self.id, self.peer, replies)
        self._owe(replies)

    def _farewell(self, farewell: Farewell) -> None:
        self._registry.counts.farewells[farewell] += 1
        self._say(farewell.reply(self._registry.domain))
        self._close(farewell.name.lower().replace("_", " "))

    def _close(self, why: str) -> None:
        self.send()
        self._phase = _Phase.CLOSING
        self._why = why
        self._framer = Framer()
        self._part.close()
        self._call_off_body()
        self._state, self._foreseen = b"", ()
        self._timer.cancel()
        if self._eof or self._transport.is_closing():
            # It closes once the client has read what was said, and that may be never.
            self._transport.close()
        else:
            self._transport.write_eof()
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
        self._timer = Lingering(self._registry.loop, self._transport)

    def _look_at_clock(self) -> None:
        """The idle timer ran out; octets that came since it was set only moved the time it is compared with."""
        idle = self._registry.idle_seconds
        silent = 0.0 if self._step is not None or self._part.waits else self._registry.loop.time() - self._heard
        if silent < idle:
            self._timer = self._registry.loop.call_later(idle - silent, self._look_at_clock)
        elif self._unread:
            self.abort("the client does not read")
        else:
            self._farewell(Farewell.IDLE)
