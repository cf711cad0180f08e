"""Steps of sessions to workers, and their answers back: the pool's book-keeping tied to the bus and a clock.

Gives: a `Dispatcher`. A session submits a step and later gets, exactly once, the answer or the farewell with which it
must end.
Fails: what a worker says that makes no sense is counted in `dropped`, logged and dropped. An answer that nobody
waits for is late: its worker was believed lost. An answer to the right step that cannot be, such as more lines used
than there were, counts as if the step had lost its worker.
Limits: a step waits for a worker at most `patience` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Protocol

from gateway.telling.farewells import Farewell
from gateway.telling.metrics import Counts
from gateway.workers.answers import Answers
from gateway.workers.poison import PoisonCabinet
from gateway.workers.pool import WorkerPool
from runtime import counted
from runtime.bus import Peer
from wire.messages import (
    Body,
    Close,
    Injected,
    Lines,
    Message,
    Ping,
    ReadLines,
    Step,
    StepDone,
    StepRefused,
    WorkerAlive,
    WorkerGone,
)
from wire.records import replace

log = logging.getLogger(__name__)

# How often silence is looked for: a small part of what makes a worker gone.
_TICK = 0.1
# When a worker's connection has ended, at once and once more: the socket may take a moment to see it.
_PROBES = (0.0, 0.02, 0.2)
# A step that has waited for less than this, in seconds, is sent as if it had not.
_WAITED = 1.0
# Of a flood of nonsense this many are told in full between two summaries.
_TOLD_DROPS = 20


class StepOwner(Protocol):
    """Who submits steps: a session. `submitted` is the dispatcher's: when, by its clock."""

    submitted: float

    def on_done(self, done: StepDone, worker: Peer) -> None:
        """The step has been done, by this worker."""

    def on_failed(self, farewell: Farewell) -> None:
        """The step will never be done."""


def fault(step: Step, done: StepDone) -> str:
    """Why this cannot be the answer to that step; empty if it can be. What is read after must fit what was read."""
    spoken = step.input
    then = done.next.then if isinstance(done.next, Injected) else done.next
    lines = len(spoken.lines) if isinstance(spoken, Lines) else 0
    if done.consumed > lines:
        return f"{counted(done.consumed, 'line')} used, the step had {lines}"
    if lines and done.consumed == 0 and not isinstance(then, Close):
        return "no line used: the same lines would come again and again"
    if isinstance(spoken, Body) and not spoken.last and isinstance(then, ReadLines):
        return "lines to be read in the middle of a message"
    return ""


class Dispatcher:
    """Hands steps to workers.

    :param send: puts a message for a worker on the bus.
    :param cabinet: where poisoned steps go.
    :param patience: seconds that a step may wait for a worker.
    :param clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        send: Callable[[Message, Peer], None],
        cabinet: PoisonCabinet,
        patience: float,
        clock: Callable[[], float],
    ) -> None:
        self.pool = WorkerPool()
        self.counts = Counts()
        self.answers = Answers()
        self.dropped = 0
        self.clock = clock
        self._send = send
        self._cabinet = cabinet
        self._patience = patience
        self._owners: dict[str, StepOwner] = {}
        self._loop = asyncio.get_running_loop()
        self._assign_due = False
        self._timer = self._loop.call_later(_TICK, self._tick)

    def close(self) -> None:
        """Stop looking at the clock."""
        self._timer.cancel()

    def submit(self, step: Step, owner: StepOwner) -> None:
        """Have a step done. The owner hears of it in a later turn of the loop."""
        self._owners[step.session] = owner
        owner.submitted = self.clock()
        self.pool.submit(step, owner.submitted)
        self._assign_soon()

    def on_message(self, peer: Peer, message: Message) -> None:
        """Something came from a worker."""
        match message:
            case StepDone():
                self._done(peer, message, self._heard(peer))
            case WorkerAlive():
                now = self.clock()
                if self.pool.alive(peer, message.draining, now, message.opening):
                    log.info("worker %s is here, version %r", _name(peer), message.version, extra=_about(peer))
                if message.sessions is not None:
                    self._lost_on_the_way(peer, message.sessions, message.ping, now)
                self._assign_soon()
            case StepRefused():
                self._heard(peer)
                self._refused(peer, message)
            case WorkerGone():
                log.info("worker %s has left", _name(peer), extra=_about(peer))
                self._lose(peer, "left", blame=False)
            case _:
                self._drop(peer, f"a {type(message).__name__} is nothing that a worker says")

    def on_unreachable(self, peer: Peer, messages: list[Message]) -> None:
        """The bus knows no such worker any more; these messages were not sent to it."""
        log.warning("worker %s is not connected any more", _name(peer), extra=_about(peer))
        self._lose(peer, "disconnected", undelivered=[message for message in messages if isinstance(message, Step)])

    def on_departure(self) -> None:
        """Some worker's connection has ended. Whose is found by sending to all: `on_unreachable`.

        To idle ones as well: that they were lost excuses the steps of those lost with them.
        """
        for delay in _PROBES:
            self._loop.call_later(delay, self._probe)

    # ------------------------------------------------------------ inside

    def _probe(self) -> None:
        for worker in self.pool.members:
            self._send(Ping(), worker)

    def _heard(self, peer: Peer) -> float:
        now = self.clock()
        self.pool.heard(peer, now)
        return now

    def _done(self, peer: Peer, done: StepDone, now: float) -> None:
        step = self.pool.holds(peer, done.session, done.seq)
        if step is None:
            self._drop(peer, f"nobody waits for it to do step {done.seq} of {done.session!r}", done.session)
        elif reason := fault(step, done):
            self._drop(peer, f"its answer to step {done.seq} of {done.session!r} cannot be: {reason}", done.session)
            self.pool.fail(done.session, now)
            self.counts.redispatched["wrong_answer"] += 1
            self._assign_soon()
        else:
            self.pool.finish(done.session)
            if self.pool.has_waiting:
                self._assign_soon()
            owner = self._owners.pop(done.session)
            self.counts.step.add(now - owner.submitted)
            owner.on_done(done, peer)

    def _refused(self, peer: Peer, refused: StepRefused) -> None:
        if self.pool.holds(peer, refused.session, refused.seq) is None:
            reason = f"nobody waits for it to refuse step {refused.seq} of {refused.session!r}"
            self._drop(peer, reason, refused.session)
            return
        self.counts.redispatched["refused"] += 1
        self.pool.hand_back(refused.session, self.clock(), for_good=refused.reason == "state")
        self._assign_soon()

    def _lose(self, peer: Peer, how: str, *, blame: bool = True, undelivered: list[Step] | None = None) -> None:
        load = self.pool.load(peer)
        if load is None:
            return
        self.pool.lose(peer, self.clock(), blame=blame, undelivered=undelivered or ())
        self.answers.forget()
        self.counts.workers_lost[how] += 1
        self.counts.redispatched["worker_lost"] += load
        self._assign_soon()

    def _lost_on_the_way(self, peer: Peer, sessions: Collection[str], ping: int, now: float) -> None:
        if lost := self.pool.lost_on_the_way(peer, sessions, ping, now):
            self.counts.redispatched["lost_on_the_way"] += lost
            log.warning("steps of worker %s lost on the way: %d; again", _name(peer), lost, extra=_about(peer))

    def _poisoned(self, step: Step) -> None:
        self.counts.poisoned += 1
        self._cabinet.keep(step)
        self._owners.pop(step.session).on_failed(Farewell.POISONED)

    def _assign_soon(self) -> None:
        if not self._assign_due:
            self._assign_due = True
            self._loop.call_soon(self._assign)

    def _assign(self) -> None:
        self._assign_due = False
        now = self.clock()
        for worker, step in self.pool.assign(now):
            waited = now - self._owners[step.session].submitted
            self._send(step if waited < _WAITED else replace(step, waited=int(waited * 1000)), worker)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK, self._tick)
        now = self.clock()
        for worker in self.pool.silent(now):
            log.warning("worker %s has fallen silent", _name(worker), extra=_about(worker))
            self._lose(worker, "silent")
        for step in self.pool.condemned(now):
            self._poisoned(step)
        self._assign()
        for worker, number in self.pool.unproven():
            self._send(Ping(number), worker)
        for step in self.pool.overdue(now, self._patience):
            log.warning(
                "step %d of %s waited %g s for a worker in vain",
                step.seq,
                step.session,
                self._patience,
                extra={"event": "no-worker", "session": step.session},
            )
            self._owners.pop(step.session).on_failed(Farewell.NO_WORKER)

    def _drop(self, peer: Peer, reason: str, session: str = "") -> None:
        self.dropped += 1
        if self.dropped <= _TOLD_DROPS or self.dropped % 1000 == 0:
            about = _about(peer) | ({"session": session} if session else {})
            log.warning("dropped what worker %s said: %s (%d so far)", _name(peer), reason, self.dropped, extra=about)


def _name(peer: Peer) -> str:
    return repr(peer[:32])[2:-1]


def _about(peer: Peer) -> dict[str, str]:
    """The field of a log line about a worker, as `conversation.py` has it."""
    return {"worker": _name(peer[:8])}
