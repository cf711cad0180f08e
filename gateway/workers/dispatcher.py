"""Sends steps to workers and brings their answers back: ties the pool's book-keeping to the bus and a clock.

Gives: a `Dispatcher`. A connection first asks it whether the answer is `known`. If not, it submits a step, and later
gets, exactly once, the answer or the farewell with which its session must end. `attendance.py` sees who is there.
Fails: what a worker says that makes no sense is counted in `dropped`, logged and dropped. An answer that nobody
waits for is late: its worker was believed lost. An answer to the right step that cannot be, such as more lines used
than there were, counts as if the step had lost its worker.
Limits: known answers have so many octets together; when there are more, all are forgotten and learned anew.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple, Protocol, TypeAlias

from gateway.telling.farewells import Farewell
from gateway.telling.metrics import GatewayCounts
from gateway.workers.pool import WorkerPool
from runtime import counted
from runtime.bus import Peer
from wire.limits import SMALL_STEP
from wire.messages import Body, Client, Close, Injected, Input, Lines, Message, ReadLines, Step, StepDone
from wire.records import replace

log = logging.getLogger(__name__)

# A step that has waited for less than this, in seconds, is sent as if it had not.
_WAITED = 1.0
# Of a flood of nonsense this many are told in full between two summaries.
_TOLD_DROPS = 20
# Octets of known answers. Each holds for a second at most, and this is what a second can bring. One that is larger
# than a small step, for the state names hundreds of recipients, is nobody else's, and not worth the room of others.
_ANSWERS = 16 * 1024 * 1024
_ANSWER = SMALL_STEP
# What the interpreter needs for one, and for each line of it, beside its octets.
_OVERHEAD = 1100
_OVERHEAD_OF_LINE = 200
# Random octets before the numbers of sessions. Two processes in 2**24 (17 million) starts share them by the birthday
# bound, so ids are unique across gateways and restarts, and outlive any ledger that knows them.
_PREFIX_OCTETS = 6


def session_ids() -> Iterator[str]:
    """As many as are asked for, unlike those of any other process."""
    prefix = secrets.token_hex(_PREFIX_OCTETS)
    return (f"{prefix}-{number}" for number in count(1))


class Progress:
    """How far a session has come: what it takes to make its next step. Only workers look into `state` and `carry`.

    :param session: its id.
    :param wall: the wall clock, in seconds since the epoch.
    """

    __slots__ = (
        "_seq", "_wall", "body_open", "carry", "client", "id", "in_transaction", "message", "state", "step",
    )  # fmt: skip

    def __init__(self, session: str, wall: Callable[[], float]) -> None:
        self.id = session
        self.client = Client()
        self.state = self.carry = b""
        self.in_transaction = False
        # The number of the message that is being read, or next.
        self.message = 1
        # A piece of a message was handed on, and the last one was not.
        self.body_open = False
        # The step that is under way.
        self.step: Step | None = None
        self._seq = 0
        self._wall = wall

    def skip(self) -> None:
        """The client is greeted without a step: number 0 is that step's."""
        self._seq = 1

    def begin(self, spoken: Input) -> Step:
        """The next step, which is under way now."""
        if spoken.__class__ is Body:
            self.body_open = not spoken.last
        now = int(self._wall() * 1000)
        step = self.step = Step(
            self.id, self._seq, now, self.state, spoken, message=self.message, client=self.client, carry=self.carry
        )
        self._seq += 1
        return step

    def end(self, done: StepDone) -> Step:
        """The step that was under way, and is done now."""
        step, self.step = self.step, None
        assert step is not None
        if done.next.__class__ is Close:
            self.body_open = False
        if step.input.__class__ is Body and step.input.last:
            self.message += 1
        return step

    def take(self, done: StepDone) -> None:
        """Go on from an answer, of a step or a known one."""
        self.state = done.state
        if done.carry is not None:
            self.carry = done.carry
        self.in_transaction = done.in_transaction


class StepOwner(Protocol):
    """Who submits steps: a client's connection. `submitted` is the dispatcher's: when, by its clock."""

    submitted: float

    def on_done(self, done: StepDone, worker: Peer) -> None:
        """The step has been done, by this worker."""

    def on_failed(self, farewell: Farewell) -> None:
        """The step will never be done."""


class Known(NamedTuple):
    """A worker's answer to the same lines in the same state, and until when any worker would give it."""

    done: StepDone
    worker: Peer
    until: float


_Lines: TypeAlias = tuple[bytes | None, ...]


class KnownAnswers:
    """Answers that hold for a while, in any session (wire/SPEC.md, `holds`). Pure: the time, in s, is passed in."""

    def __init__(self) -> None:
        self._answers: dict[tuple[bytes, _Lines], Known] = {}
        self._octets = 0

    def learn(self, step: Step, done: StepDone, worker: Peer, begun: float) -> None:
        """A step that was begun at that time has been answered, and maybe the next one ahead."""
        if isinstance(step.input, Lines):
            self._put(step.state, step.input.lines, done, worker, begun)
        ahead = done.ahead
        # Of each line must be told whether it is secret, as `impossible` sees to with a step's own.
        if ahead is not None and len(ahead.lines) == ahead.done.consumed == len(ahead.done.told):
            self._put(done.state, ahead.lines, ahead.done, worker, begun)

    def _put(self, state: bytes, lines: _Lines, done: StepDone, worker: Peer, begun: float) -> None:
        if not done.holds or isinstance(done.next, Injected):
            return
        octets = _OVERHEAD + len(state) + len(done.state) + len(done.carry or b"") + len(done.replies)
        octets += sum(len(line or b"") + _OVERHEAD_OF_LINE for line in lines)
        if octets > _ANSWER:
            return
        if self._octets + octets > _ANSWERS:
            self.forget()
        self._octets += octets
        self._answers[state, lines] = Known(done, worker, begun + done.holds / 1000)

    def find(self, state: bytes, lines: _Lines, now: float) -> Known | None:
        """What a step of these lines would be answered, if that is known."""
        known = self._answers.get((state, lines))
        return known if known is not None and now < known.until else None

    def forget(self) -> None:
        """A worker has gone: the next may be of another release, and answer otherwise."""
        self._answers.clear()
        self._octets = 0


def impossible(step: Step, done: StepDone) -> str:
    """Why this cannot be the answer to that step; empty if it can be.

    What is read after must fit what was read, and each line or message that was used must be told of: a secret that
    is not marked would be shown.
    """
    spoken = step.input
    then = done.next.then if isinstance(done.next, Injected) else done.next
    lines = len(spoken.lines) if isinstance(spoken, Lines) else 0
    messages = 1 if isinstance(spoken, Body) and spoken.last else 0
    if done.consumed > lines:
        return f"{counted(done.consumed, 'line')} used, the step had {lines}"
    if lines and done.consumed == 0 and not isinstance(then, Close):
        return "no line used: the same lines would come again and again"
    if len(done.told) != done.consumed + messages:
        return f"{done.consumed + messages} used and {len(done.told)} told of"
    if isinstance(spoken, Body) and not spoken.last and isinstance(then, ReadLines):
        return "lines to be read in the middle of a message"
    return ""


class Dispatcher:
    """Hands steps to workers.

    :param clock: seconds of a monotonic clock.
    """

    # Puts a message for a worker on the bus: who makes the bus says which.
    send: Callable[[Message, Peer], None]

    def __init__(self, counts: GatewayCounts, clock: Callable[[], float]) -> None:
        self.pool = WorkerPool()
        self.answers = KnownAnswers()
        self.dropped = 0
        self.counts = counts
        self.clock = clock
        # Takes what workers say of themselves: `attendance.py`.
        self.on_other: Callable[[Peer, Message], None] = self.drop_unknown
        self._owners: dict[str, StepOwner] = {}
        self._loop = asyncio.get_running_loop()
        self._assign_due = False

    @property
    def opening(self) -> bytes:
        """What any worker would greet a client with; empty where they differ or there are none: it takes a step."""
        return self.pool.members.opening

    def known(self, progress: Progress, lines: _Lines) -> Known | None:
        """What a step of these lines would be answered now, if that is known: then it need not be done."""
        return self.answers.find(progress.state, lines, self.clock())

    def submit(self, step: Step, owner: StepOwner) -> None:
        """Have a step done. The owner hears of it in a later turn of the loop."""
        self._owners[step.session] = owner
        owner.submitted = self.clock()
        self.pool.submit(step, owner.submitted)
        self.assign_soon()

    def give_up(self, step: Step, farewell: Farewell) -> None:
        """The pool has forgotten a step that will not be done."""
        self._owners.pop(step.session).on_failed(farewell)

    def on_message(self, peer: Peer, message: Message) -> None:
        """Something came from a worker."""
        if message.__class__ is not StepDone:
            self.on_other(peer, message)
            return
        now, done = self.clock(), message
        self.pool.sign_of_life(peer, now)
        step = self.pool.step_of(peer, done.session, done.seq)
        if step is None:
            self.drop(peer, f"nobody waits for it to do step {done.seq} of {done.session!r}", done.session)
        elif reason := impossible(step, done):
            self.drop(peer, f"its answer to step {done.seq} of {done.session!r} cannot be: {reason}", done.session)
            self.pool.answered_wrongly(done.session, now)
            self.counts.redispatched["wrong_answer"] += 1
            self.assign_soon()
        else:
            self.pool.finish(done.session)
            if self.pool.has_waiting:
                self.assign_soon()
            owner = self._owners.pop(done.session)
            self.counts.step.add(now - owner.submitted)
            if done.holds:
                self.answers.learn(step, done, peer, owner.submitted)
            owner.on_done(done, peer)

    def assign_soon(self) -> None:
        """Give waiting steps to workers at the end of this turn of the loop."""
        if not self._assign_due:
            self._assign_due = True
            self._loop.call_soon(self.assign)

    def assign(self) -> None:
        """Give waiting steps to workers now."""
        self._assign_due = False
        now = self.clock()
        for worker, step in self.pool.assign(now):
            waited = now - self._owners[step.session].submitted
            self.send(step if waited < _WAITED else replace(step, waited=int(waited * 1000)), worker)

    def drop(self, peer: Peer, reason: str, session: str = "") -> None:
        """A worker has said what makes no sense."""
        self.dropped += 1
        if self.dropped <= _TOLD_DROPS or self.dropped % 1000 == 0:
            about = worker_field(peer) | ({"session": session} if session else {})
            log.warning("dropped what worker %s said: %s (%d so far)", name(peer), reason, self.dropped, extra=about)

    def drop_unknown(self, peer: Peer, message: Message) -> None:
        """It is nothing that a worker says."""
        self.drop(peer, f"a {type(message).__name__} is nothing that a worker says")


def name(peer: Peer) -> str:
    """A worker, in the text of a log line."""
    return repr(peer[:32])[2:-1]


def worker_field(peer: Peer) -> dict[str, str]:
    """The field of a log line about a worker, as `conversation.py` has it."""
    return {"worker": name(peer[:8])}
