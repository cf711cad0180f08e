"""The service around the dialogue: steps come from the gateways, questions go to the store, heartbeats to both.

Many steps are under way at once, each a generator that waits for an outcome; they share one thread and one loop, so a
heartbeat that goes out says that the loop turns. Nothing of a session is kept once its step is answered.

Fails: a step that raises is answered by `dialogue.fault` and logged; messages that make no sense are counted and
dropped; a store that does not answer becomes a 4xx. A bad endpoint at start ends the process, and so does a step that
is stuck (`runtime/process.py`).
Limits: as many steps as the gateways send, which is at most one per session.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import zmq
from prometheus_client.core import Metric

from runtime import VERSION, counted, logs
from runtime.bus import Bus, Peer, open_socket
from runtime.event_log import EventLog, escaped, members
from runtime.vitals import Vitals
from session_worker.config import WorkerSettings
from session_worker.dialogue import steps
from session_worker.dialogue.state import NewerState, StateError
from session_worker.memory import Memory
from session_worker.metrics import Counts, families, figures
from session_worker.store_calls import StoreCalls
from wire.messages import (
    Answer,
    Ask,
    Deliver,
    Discard,
    Injected,
    Message,
    Ping,
    Pong,
    Question,
    Stage,
    Step,
    StepDone,
    StepRefused,
    WorkerAlive,
    WorkerGone,
)
from wire.outcomes import Delivered, Failed, Outcome, TimedOut
from wire.records import replace

log = logging.getLogger(__name__)

# wire/SPEC.md: a heartbeat every 400 ms, three missed and the peer is gone.
HEARTBEAT_SECONDS = 0.4
GONE_SECONDS = 3 * HEARTBEAT_SECONDS
# A peer whose host vanished says nothing at all; ZMTP heartbeats let the socket notice and connect anew.
_ZMTP_PING_MS = 1000
_ZMTP_TIMEOUT_MS = 3000
# A step that waits for the store is named to its gateway after so long at the latest: should this process be killed,
# the gateway knows that the step was not what killed it (wire/SPEC.md, `alive`). One message for all that wait.
_NAMED_SECONDS = 0.02


@dataclass(slots=True, eq=False)
class _Running:
    """A step under way, and the gateway it came from.

    `recalled`: it was given an outcome that the store has not given now. `timed_out`: the store did not answer it.
    `heard`: the store's epoch, when it last answered it; 0 before.
    """

    step: Step
    gateway: Bus
    dialogue: Generator[Question, Outcome, StepDone]
    recalled: bool = False
    timed_out: bool = False
    heard: int = 0


class Worker:
    """One session worker on the running loop; `run` returns after `stop` was called and its steps are done."""

    def __init__(
        self, settings: WorkerSettings, context: zmq.Context[zmq.Socket[bytes]], events: EventLog | None = None
    ) -> None:
        """Connect to the gateways and the store.

        :param events: where each delivery is logged; None: nowhere.
        :raises ConnectionError: for an endpoint that ZeroMQ does not take.
        """
        # Messages that made no sense, by nature: states that are none, messages of the wrong kind.
        self.bad_states = 0
        self.unexpected = 0
        self.counts = Counts()
        self.vitals = Vitals("session_worker", settings.ready_file)
        self._settings = settings
        self._rules = replace(settings.rules(), worker=f"{os.getpid()}@{os.uname().nodename}")
        self._calls: StoreCalls[_Running] = StoreCalls(settings.store_seconds)
        self._running: set[_Running] = set()
        self._memory = Memory()
        self._opening = steps.opening(self._rules)
        self._loop = asyncio.get_running_loop()
        self._events = events
        if events is not None:
            events.soon = self._loop.call_soon
        self._naming_due = False
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._store_heard = float("-inf")
        endpoints = [settings.store_endpoint, *settings.gateways()]
        self._name = uuid.uuid4().hex
        store, *gateways = _connect(context, self._name.encode(), endpoints)
        self._store = Bus(store, self._on_store)
        self._gateways = [self._gateway(socket) for socket in gateways]

    def stop(self) -> None:
        """Take no new step, finish those under way, then leave. To be called on the loop."""
        self._stopping.set()

    def families(self) -> Iterator[Metric]:
        """All it counts, for another thread."""
        dropped = {
            "malformed": self._store.rejected + sum(gateway.rejected for gateway in self._gateways),
            "senseless": self.unexpected,
            "late_answer": self._calls.unexpected,
            "bad_state": self.bad_states,
        }
        return families(self.counts, self.vitals.figures, dropped)

    async def run(self) -> None:
        """Serve until stopped."""
        beating = asyncio.create_task(self._beat())
        log.info(
            "serving %s, gateways %s, store %s",
            self._rules.domain,
            ", ".join(self._settings.gateways()),
            self._settings.store_endpoint,
            # The gateway knows it by this name.
            extra={"worker": self._name[:8]},
        )
        try:
            await self._stopping.wait()
            log.info("draining: %s under way", counted(len(self._running), "step"))
            self._say_alive()
            await self._drained()
        finally:
            beating.cancel()
            self.vitals.leave()
            for gateway in self._gateways:
                gateway.send(WorkerGone())
            self.close()
        log.info("stopped: %s unfinished", counted(len(self._running), "step"))

    def close(self) -> None:
        """Send what waits for the gateways, and speak to nobody more."""
        for gateway in self._gateways:
            gateway.close()
        self._store.close(linger=0)

    async def _drained(self) -> None:
        if self._running:
            try:
                async with asyncio.timeout(self._settings.shutdown_seconds):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("steps take over %g s to finish: left to another worker", self._settings.shutdown_seconds)

    # ------------------------------------------------------------ heartbeats

    async def _beat(self) -> None:
        while True:
            try:
                self._tick()
            except Exception:  # a heartbeat that ends would make a silent worker of a sound one
                log.exception("! the heartbeat failed")
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def _tick(self) -> None:
        self._say_alive()
        self._store.send(Ping(self._calls.mark()))
        now = self._loop.time()
        for question, running in self._calls.give_up(now):
            log.warning(
                "! %s: the store did not answer %s",
                running.step.session,
                type(question).__name__,
                extra=_about("timed-out", running.step.session, question),
            )
            self.counts.questions[type(question), TimedOut] += 1
            running.timed_out = True
            self._advance(running, TimedOut())
        heard = now - self._store_heard < GONE_SECONDS
        why_not = "it is draining" if self._stopping.is_set() else "the store does not answer"
        ready = heard and not self._stopping.is_set()
        self.vitals.beat(ready, figures(self.counts, len(self._running)), why_not)
        logs.catch_up()

    def _say_alive(self) -> None:
        self._naming_due = False
        for gateway in self._gateways:
            self._say_alive_to(gateway)

    def _say_alive_to(self, gateway: Bus, ping: int = 0) -> None:
        sessions = tuple(running.step.session for running in self._running if running.gateway is gateway)
        draining = self._stopping.is_set()
        gateway.send(WorkerAlive(VERSION, len(self._running), draining, sessions, self._opening, ping))

    # ------------------------------------------------------------ gateways

    def _gateway(self, socket: zmq.Socket[bytes]) -> Bus:
        # The handler has to know its bus, which is made with the handler.
        bus: Bus

        def on_message(_peer: Peer, message: Message) -> None:
            self._on_gateway(bus, message)

        bus = Bus(socket, on_message)
        return bus

    def _on_gateway(self, gateway: Bus, message: Message) -> None:
        if isinstance(message, Ping):
            # One without a number is sent to see whether it can be.
            if message.number:
                self._say_alive_to(gateway, message.number)
            return
        if not isinstance(message, Step):
            self._drop(message)
        elif self._stopping.is_set():
            self.counts.refused += 1
            gateway.send(StepRefused(message.session, message.seq, "draining"))
        else:
            running = _Running(message, gateway, steps.run(self._rules, message))
            self._running.add(running)
            self._advance(running, None)

    def _advance(self, running: _Running, outcome: Outcome | None) -> None:
        """Let a step go on with an outcome (None: from its beginning) to its next question or its end."""
        step = running.step
        answer: StepDone | StepRefused
        try:
            while True:
                # None starts a generator; the type of its later values has no place for that.
                question = running.dialogue.send(outcome)  # type: ignore[arg-type]
                # A store that has not answered one question of a step is not waited for again by the next: a client
                # may have said a hundred lines at once, and hears nothing until the last is served.
                outcome = TimedOut() if running.timed_out else self._memory.recall(question, self._loop.time())
                if outcome is None:
                    self._ask(question, running)
                    return
                running.recalled = True
        except StopIteration as end:
            done: StepDone = end.value
            # What is remembered may be old enough already.
            again = 0 if running.recalled else done.again
            holds = 0 if running.recalled else done.holds
            answer = done
            if running.heard or running.recalled:
                answer = replace(done, again=again, heard=running.heard, holds=holds)
            self.counts.answered(done.told)
            if done.next.__class__ is Injected:
                self.counts.injected += 1
        except NewerState as newer:
            self.counts.refused += 1
            log.info("%s: handed back: %s", step.session, newer, extra=_about("handed-back", step.session))
            answer = StepRefused(step.session, step.seq, "state")
        except StateError as error:
            self.bad_states += 1
            self.counts.faults += 1
            log.error(  # noqa: TRY400
                "! %s: %s (bad states so far: %d)",
                step.session,
                error,
                self.bad_states,
                extra=_about("bad-state", step.session),
            )
            answer = steps.apology(self._rules, step)
        except Exception:
            self.counts.faults += 1
            about = _about("fault", step.session)
            log.exception("! %s: the dialogue failed in step %d", step.session, step.seq, extra=about)
            answer = steps.apology(self._rules, step)
        self._running.discard(running)
        running.gateway.send(answer)
        if self._stopping.is_set() and not self._running:
            self._idle.set()

    # ------------------------------------------------------------ store

    def _ask(self, question: Question, running: _Running) -> None:
        if log.isEnabledFor(logging.DEBUG):
            session = running.step.session
            log.debug(
                "%s: asks the store: %s",
                session,
                type(question).__name__.lower(),
                extra=_about("asks", session, question),
            )
        sent = running.step.time + running.step.waited
        self._store.send(self._calls.ask(question, running, time.monotonic(), time.time_ns() // 1_000_000, sent))
        if not self._naming_due:
            self._naming_due = True
            self._loop.call_later(_NAMED_SECONDS, self._name_waiting)

    def _name_waiting(self) -> None:
        if self._naming_due and self._running:
            self._say_alive()
        self._naming_due = False

    def _send_again(self, asks: list[Ask]) -> None:
        for ask in asks:
            self._store.send(ask)
        if asks:
            self.counts.repeated += len(asks)
            log.info("asked the store %s again", counted(len(asks), "question"))

    def _on_store(self, _peer: Peer, message: Message) -> None:
        now = self._loop.time()
        self._store_heard = now
        if isinstance(message, Pong):
            self._send_again(self._calls.heard(message.instance, message.ping))
        elif isinstance(message, Answer):
            closed = self._calls.answered(message.request)
            if closed is not None:
                question, running, asked = closed
                self._memory.learn(question, message.outcome, message.epoch, asked)
                running.heard = message.epoch
                self._learn(running.step.session, question, message.outcome, time.monotonic() - asked)
                self._advance(running, message.outcome)
        else:
            self._drop(message)

    def _learn(self, session: str, question: Question, outcome: Outcome, seconds: float) -> None:
        """Count and log what the store answered, after so many seconds."""
        self.counts.questions[question.__class__, outcome.__class__] += 1
        self.counts.question[question.__class__].add(seconds)
        if isinstance(outcome, Failed):
            about = _about("store-failed", session, question)
            kind = type(question).__name__
            log.error("! %s: %s failed: %s: %s", session, kind, outcome.kind, outcome.detail, extra=about)
        elif isinstance(question, Deliver) and isinstance(outcome, Delivered):
            self.counts.delivered(question, outcome.repeat)
            if self._events is not None:
                delivery, whom = escaped(question.delivery), counted(len(question.mailboxes), "mailbox", "mailboxes")
                again = ", by an earlier run of this step" if outcome.repeat else ""
                self._events.tell(
                    f"= {delivery} delivered to {whom}{again}",
                    members(event="delivered", session=session, delivery=delivery, repeat=outcome.repeat)
                    if self._events.fields
                    else "",
                )

    def _drop(self, message: Message) -> None:
        self.unexpected += 1
        log.warning("dropped a %s, which is not for a worker (%d so far)", type(message).__name__, self.unexpected)


def _about(event: str, session: str, question: Question | None = None) -> dict[str, object]:
    """The fields of a log line about a session, and about a delivery where the question was."""
    about: dict[str, object] = {"event": event, "session": session}
    if isinstance(question, Stage | Deliver | Discard):
        about["delivery"] = question.delivery
    return about


def _connect(
    context: zmq.Context[zmq.Socket[bytes]], identity: bytes, endpoints: list[str]
) -> list[zmq.Socket[bytes]]:
    sockets = []
    for endpoint in endpoints:
        socket = open_socket(context, zmq.DEALER, identity)
        # Without IMMEDIATE, heartbeats and questions would pile up for a peer that is away, and all reach it at once.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _ZMTP_PING_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _ZMTP_TIMEOUT_MS)
        sockets.append(socket)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            for opened in sockets:
                opened.close()
            raise ConnectionError(f"cannot connect to {endpoint}: {zmq.strerror(error.errno or 0)}") from None
    return sockets
