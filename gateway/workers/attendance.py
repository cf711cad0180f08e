"""Which workers are there: they come, leave, fall silent or are cut off. And steps that nobody does in time.

Gives: an `Attendance`, which hears what workers say of themselves and what the bus knows of them, and looks at the
clock. `WorkerPool.lose` (`pool.py`) keeps the steps of a worker that is gone, for another one.
Limits: that a worker was killed is known at once, for its connection ends (`runtime/bus.py`); that one hangs, after
1.2 s, three heartbeats of 400 ms. A step waits for a worker at most `patience` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from gateway.telling.farewells import Farewell
from gateway.workers.dispatcher import Dispatcher, name, worker_field
from gateway.workers.poison import PoisonCabinet
from runtime.bus import Peer
from wire.messages import Message, Ping, Step, StepRefused, WorkerAlive, WorkerGone

log = logging.getLogger(__name__)

# How often silence is looked for: a small part of what makes a worker gone.
_TICK = 0.1
# When a worker's connection has ended, at once and once more: the socket may take a moment to see it.
_PROBES = (0.0, 0.02, 0.2)


class Attendance:
    """Looks after the workers of a dispatcher.

    :param cabinet: where poisoned steps go.
    :param patience: seconds that a step may wait for a worker.
    """

    def __init__(self, dispatcher: Dispatcher, cabinet: PoisonCabinet, patience: float) -> None:
        self._dispatcher = dispatcher
        self._pool = dispatcher.pool
        self._counts = dispatcher.counts
        self._clock = dispatcher.clock
        self._cabinet = cabinet
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_TICK, self._tick)
        dispatcher.on_other = self.on_message

    def close(self) -> None:
        """Stop looking at the clock."""
        self._timer.cancel()

    def on_message(self, peer: Peer, message: Message) -> None:
        """A worker has said something of itself."""
        match message:
            case WorkerAlive():
                now = self._clock()
                if self._pool.heartbeat(peer, message.draining, now, message.opening):
                    log.info("worker %s is here, version %r", name(peer), message.version, extra=worker_field(peer))
                if message.sessions is not None:
                    self._retry_lost(peer, message.sessions, message.ping, now)
                self._dispatcher.assign_soon()
            case StepRefused():
                self._pool.sign_of_life(peer, self._clock())
                self._refused(peer, message)
            case WorkerGone():
                log.info("worker %s has left", name(peer), extra=worker_field(peer))
                self._lose(peer, "left", blame=False)
            case _:
                self._dispatcher.drop_unknown(peer, message)

    def on_unreachable(self, peer: Peer, messages: list[Message]) -> None:
        """The bus knows no such worker any more; these messages were not sent to it."""
        log.warning("worker %s is not connected any more", name(peer), extra=worker_field(peer))
        self._lose(peer, "disconnected", undelivered=[message for message in messages if isinstance(message, Step)])

    def on_departure(self) -> None:
        """Some worker's connection has ended. Whose is found by sending to all: `on_unreachable`.

        To idle ones as well: that they were lost excuses the steps of those lost with them.
        """
        for delay in _PROBES:
            self._loop.call_later(delay, self._probe)

    # ------------------------------------------------------------ inside

    def _probe(self) -> None:
        for worker in list(self._pool.members):
            self._dispatcher.send(Ping(), worker)

    def _refused(self, peer: Peer, refused: StepRefused) -> None:
        if self._pool.step_of(peer, refused.session, refused.seq) is None:
            reason = f"nobody waits for it to refuse step {refused.seq} of {refused.session!r}"
            self._dispatcher.drop(peer, reason, refused.session)
            return
        self._counts.redispatched["refused"] += 1
        self._pool.hand_back(refused.session, self._clock(), for_good=refused.reason == "state")
        self._dispatcher.assign_soon()

    def _lose(self, peer: Peer, how: str, *, blame: bool = True, undelivered: Collection[Step] = ()) -> None:
        steps = self._pool.lose(peer, self._clock(), blame=blame, undelivered=undelivered)
        if steps is None:
            return
        self._dispatcher.answers.forget()
        self._counts.workers_lost[how] += 1
        self._counts.redispatched["worker_lost"] += steps
        self._dispatcher.assign_soon()

    def _retry_lost(self, peer: Peer, sessions: Collection[str], ping: int, now: float) -> None:
        if lost := self._pool.retry_lost(peer, sessions, ping, now):
            self._counts.redispatched["lost_on_the_way"] += lost
            log.warning("steps of worker %s lost on the way: %d; again", name(peer), lost, extra=worker_field(peer))

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK, self._tick)
        now = self._clock()
        for worker in self._pool.members.look_at_clock(now):
            log.warning("worker %s has fallen silent", name(worker), extra=worker_field(worker))
            self._lose(worker, "silent")
        for step in self._pool.give_up_poison(now):
            self._counts.poisoned += 1
            self._cabinet.keep(step)
            self._dispatcher.give_up(step, Farewell.POISONED)
        self._dispatcher.assign()
        for worker, number in self._pool.members.unproven():
            self._dispatcher.send(Ping(number), worker)
        for step in self._pool.give_up_overdue(now, self._patience):
            log.warning(
                "step %d of %s waited %g s for a worker in vain",
                step.seq,
                step.session,
                self._patience,
                extra={"event": "no-worker", "session": step.session},
            )
            self._dispatcher.give_up(step, Farewell.NO_WORKER)
