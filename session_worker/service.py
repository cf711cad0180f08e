"""Steps under way, and what they ask the store: many at once, each a generator that waits for an outcome.

They share one thread and one loop. Nothing of a session is kept once its step is answered.

Fails: a step that raises is answered by `steps.apology` and logged; messages that make no sense are counted and
dropped; a store that does not answer becomes a 4xx.
Limits: as many steps as the gateways send, which is at most one per session.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import zmq

from runtime import VERSION, counted
from runtime.bus import Bus, Peer
from runtime.telling import EventLog, escaped, members
from session_worker.dialogue import steps
from session_worker.dialogue.state import NewerState, StateError
from session_worker.dialogue.turn import Policy
from session_worker.metrics import Counts
from session_worker.store_calls import Lookups, StoreCalls
from wire.messages import (
    Ahead,
    Answer,
    Deliver,
    Discard,
    Injected,
    Lines,
    Message,
    Ping,
    Pong,
    Question,
    Stage,
    Step,
    StepDone,
    StepRefused,
    WorkerAlive,
)  # fmt: skip
from wire.outcomes import Delivered, Failed, Outcome, TimedOut
from wire.records import replace

log = logging.getLogger(__name__)

# A step that waits for the store is named to its gateway after so long at the latest: should this process be killed,
# the gateway knows that the step was not what killed it (wire/SPEC.md, `alive`). One message for all that wait.
_NAMED_SECONDS = 0.02
# A peer that is not connected is tried again so soon: it knows of this worker as soon as it is.
_KNOCK_SECONDS = 0.02


@dataclass(slots=True, eq=False)
class Running:
    """A step under way, and the gateway it came from; `timed_out`: the store did not answer it."""

    step: Step
    gateway: Bus
    dialogue: Generator[Question, Outcome, StepDone]
    timed_out: bool = False


class Service:
    """The steps of all gateways, between them and the store."""

    def __init__(
        self,
        policy: Policy,
        sockets: Sequence[zmq.Socket[bytes]],
        counts: Counts,
        store_seconds: float,
        events: EventLog | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve the first of the sockets as the store's, the others as gateways'.

        :param store_seconds: how long a step waits for an answer of the store.
        :param events: where each delivery is logged; None: nowhere.
        :param clock: seconds, set by nobody. Not the loop's, which stands still for as long as a turn takes.
        """
        self.clock = clock
        # Messages that made no sense, by nature: states that are none, messages of the wrong kind.
        self.bad_states = 0
        self.unexpected = 0
        # Take no new step; once there is none under way, `idle` is set.
        self.draining = False
        self.idle = asyncio.Event()
        self.running: set[Running] = set()
        self.calls: StoreCalls[Running] = StoreCalls(store_seconds)
        self.store_heard = float("-inf")
        self._policy = policy
        self._counts = counts
        self._events = events
        self._lookups = Lookups()
        self._opening = steps.opening(policy)
        self._loop = asyncio.get_running_loop()
        self._naming_due = False
        self._knocking: set[Bus] = set()
        self.store = Bus(sockets[0], self._on_store, lambda *_: self._knock_later(self.store))
        self.gateways = [self._gateway(socket) for socket in sockets[1:]]

    def _gateway(self, socket: zmq.Socket[bytes]) -> Bus:
        # The handler has to know its bus, which is made with the handler.
        bus: Bus

        def on_message(_peer: Peer, message: Message) -> None:
            self._on_gateway(bus, message)

        bus = Bus(socket, on_message, lambda *_: self._knock_later(bus))
        return bus

    def _knock_later(self, peer: Bus) -> None:
        """There is no connection: have it noticed once there is."""
        if not self.draining and peer not in self._knocking:
            self._knocking.add(peer)
            self._loop.call_later(_KNOCK_SECONDS, self._knock, peer)

    def _knock(self, peer: Bus) -> None:
        self._knocking.discard(peer)
        if peer is self.store:
            self.ping_store()
        else:
            self._say_alive_to(peer)

    def ping_store(self) -> None:
        """Ask the store whether it is there, and how far."""
        self.store.send(Ping(self.calls.mark()))

    def say_alive(self) -> None:
        """Tell each gateway which of its steps are here."""
        self._naming_due = False
        for gateway in self.gateways:
            self._say_alive_to(gateway)

    def _say_alive_to(self, gateway: Bus, ping: int = 0) -> None:
        sessions = tuple(running.step.session for running in self.running if running.gateway is gateway)
        gateway.send(WorkerAlive(VERSION, self.draining, sessions, self._opening, ping))

    def _on_gateway(self, gateway: Bus, message: Message) -> None:
        if isinstance(message, Ping):
            # One without a number is sent to see whether it can be.
            if message.number:
                self._say_alive_to(gateway, message.number)
        elif not isinstance(message, Step):
            self._drop(message)
        elif self.draining:
            self._counts.refused += 1
            gateway.send(StepRefused(message.session, message.seq, "draining"))
        else:
            running = Running(message, gateway, steps.run(self._policy, message))
            self.running.add(running)
            self._advance(running, None)

    def _on_store(self, _peer: Peer, message: Message) -> None:
        now = self.store_heard = self.clock()
        if isinstance(message, Answer):
            closed = self.calls.answered(message.request)
            if closed is not None:
                question, running, asked = closed
                self._lookups.learn(question, message.outcome, asked)
                self._tell(running.step.session, question, message.outcome, now - asked)
                self._advance(running, message.outcome)
        elif isinstance(message, Pong):
            asks = self.calls.on_pong(message.instance, message.ping)
            for ask in asks:
                self.store.send(ask)
            if asks:
                self._counts.repeated += len(asks)
                log.info("asked the store %s again", counted(len(asks), "question"))
        else:
            self._drop(message)

    def give_up(self) -> None:
        """Let go on, without the store, whatever has waited for it for too long."""
        for question, running in self.calls.give_up(self.clock()):
            session, kind = running.step.session, type(question)
            about = _about("timed-out", session, question)
            log.warning("! %s: the store did not answer %s", session, kind.__name__, extra=about)
            self._counts.questions[kind, TimedOut] += 1
            running.timed_out = True
            self._advance(running, TimedOut())

    def _advance(self, running: Running, outcome: Outcome | None) -> None:
        """Let a step go on with an outcome (None: from its beginning) to its next question or its end."""
        step, counts = running.step, self._counts
        answer: StepDone | StepRefused
        try:
            while True:
                # None starts a generator; the type of its later values has no place for that.
                question = running.dialogue.send(outcome)  # type: ignore[arg-type]
                # A store that has not answered one question of a step is not waited for again by the next: a client
                # may have said a hundred lines at once, and hears nothing until the last is served.
                outcome = TimedOut() if running.timed_out else self._lookups.recall(question, self.clock())
                if outcome is None:
                    self._ask(question, running)
                    return
        except StopIteration as end:
            done: StepDone = end.value
            answer = done
            counts.done += 1
            counts.injected += done.next.__class__ is Injected
            for told in done.told:
                counts.replies[told.verb or "other", told.code] += 1
            if (ahead := self._ahead(step, done)) is not None:
                answer = replace(done, ahead=ahead)
        except NewerState as newer:
            counts.refused += 1
            log.info("%s: handed back: %s", step.session, newer, extra=_about("handed-back", step.session))
            answer = StepRefused(step.session, step.seq, "state")
        except StateError as error:
            self.bad_states += 1
            about = _about("bad-state", step.session)
            log.error("! %s: %s (bad states so far: %d)", step.session, error, self.bad_states, extra=about)  # noqa: TRY400
            answer = self._apology(step)
        except Exception:
            about = _about("fault", step.session)
            log.exception("! %s: the dialogue failed in step %d", step.session, step.seq, extra=about)
            answer = self._apology(step)
        self.running.discard(running)
        running.gateway.send(answer)
        if self.draining and not self.running:
            self.idle.set()

    def _ahead(self, step: Step, done: StepDone) -> Ahead | None:
        """What the next step would be answered, if the store need not be asked for it."""
        following = steps.following(step, done)
        if following is None:
            return None
        assert isinstance(following.input, Lines)
        dialogue = steps.run(self._policy, following)
        try:
            outcome = self._lookups.recall(next(dialogue), self.clock())
            if outcome is not None:
                dialogue.send(outcome)
        except StopIteration as end:
            return Ahead(following.input.lines, end.value)
        except Exception:
            # The step itself is done. Whoever says those lines has a step of its own, and hears the apology.
            about = _about("fault", step.session)
            log.exception("! %s: the dialogue failed ahead of step %d", step.session, step.seq, extra=about)
        return None

    def _apology(self, step: Step) -> StepDone:
        self._counts.faults += 1
        return steps.apology(self._policy, step)

    def _ask(self, question: Question, running: Running) -> None:
        step = running.step
        if log.isEnabledFor(logging.DEBUG):
            kind, about = type(question).__name__.lower(), _about("asks", step.session, question)
            log.debug("%s: asks the store: %s", step.session, kind, extra=about)
        wall = time.time_ns() // 1_000_000
        self.store.send(self.calls.ask(question, running, self.clock(), wall, step.time + step.waited))
        if not self._naming_due:
            self._naming_due = True
            self._loop.call_later(_NAMED_SECONDS, self._name_waiting)

    def _name_waiting(self) -> None:
        if self._naming_due and self.running:
            self.say_alive()
        self._naming_due = False

    def _tell(self, session: str, question: Question, outcome: Outcome, seconds: float) -> None:
        """Count and log what the store answered, after so many seconds."""
        counts = self._counts
        counts.questions[question.__class__, outcome.__class__] += 1
        counts.question[question.__class__].add(seconds)
        if isinstance(outcome, Failed):
            about = _about("store-failed", session, question)
            kind = type(question).__name__
            log.error("! %s: %s failed: %s: %s", session, kind, outcome.kind, outcome.detail, extra=about)
        elif isinstance(question, Deliver) and isinstance(outcome, Delivered):
            counts.delivered(question, outcome.repeat)
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
