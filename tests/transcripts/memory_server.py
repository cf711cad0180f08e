"""Framing, dialogue and a store in memory, put together as the gateway and a worker would: one client's server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from gateway.clients.framing import Framer
from session_worker.dialogue import steps
from session_worker.dialogue.turn import Policy
from tests.transcripts.memory_store import MemoryStore
from wire.messages import (
    Body,
    Client,
    Close,
    Connected,
    Disconnected,
    Injected,
    Input,
    Lines,
    Step,
    StepDone,
)
from wire.records import replace

# Mon Nov 23 07:05:55 2026 UTC
TIME = 1_795_417_555_000
_CLIENT = Client("127.0.0.1")
# The state and the lines.
_Key: TypeAlias = tuple[bytes, tuple[bytes | None, ...]]


class MemoryServer:
    """Feed it what the client sends; it collects the replies in `said`.

    `twice`: every step is run to its end a first time and its result thrown away, as when a worker dies just before
    it answers.
    `answers`: what steps were answered before, in this session or another one: that is compared with what they give.
    """

    def __init__(
        self,
        rules: Policy,
        users: Iterable[str],
        *,
        session: str = "0123456789ab-1",
        twice: bool = False,
        answers: dict[_Key, StepDone] | None = None,
    ) -> None:
        # Between two lines nothing changes where answers are compared.
        self.store = MemoryStore(users, lasting=answers is not None)
        self.said = b""
        # How often one was asked for what another had been answered.
        self.known = 0
        self.closed = False
        self.in_transaction = False
        self.injected: list[Injected] = []
        self._rules = rules
        self._session = session
        self._twice = twice
        self._answers = {} if answers is None else answers
        self._framer = Framer()
        self._state = self._carry = b""
        self._seq = 0
        self._message = 1
        self._in_message = False
        self._step(Connected())

    def feed(self, octets: bytes) -> None:
        """The client sends."""
        self._framer.feed(octets)
        while not self.closed and (given := self._framer.take()) is not None:
            done = self._step(given)
            if not isinstance(done.next, Close):
                self._framer.resume(done.consumed, done.next)

    def leave(self) -> None:
        """The client closes its connection."""
        if self._in_message and not self.closed:
            self._step(Disconnected())
        self.closed = True

    def _step(self, given: Input) -> StepDone:
        step = Step(
            self._session,
            self._seq,
            TIME,
            self._state,
            given,
            message=self._message,
            client=_CLIENT,
            carry=self._carry,
        )
        if self._twice:
            self._run(step)
        done = self._run(step)
        assert (done.session, done.seq) == (step.session, step.seq)
        assert done.consumed <= (len(given.lines) if isinstance(given, Lines) else 0)
        if isinstance(given, Lines):
            known = self._answers.get((step.state, given.lines))
            if known is not None:
                assert replace(known, session=done.session, seq=done.seq) == done
                self.known += 1
            if done.holds:
                self._answers[step.state, given.lines] = done
        self._in_message = isinstance(given, Body) and not given.last
        self._message += isinstance(given, Body) and given.last
        self._seq += 1
        self._state = done.state
        self._carry = self._carry if done.carry is None else done.carry
        self.said += done.replies
        then = done.next
        if isinstance(then, Injected):
            # Nothing here takes time, so nothing is waited for either.
            self.injected.append(then)
            then = then.then
        self.closed = isinstance(then, Close)
        self.in_transaction = done.in_transaction
        return replace(done, next=then)

    def _run(self, step: Step) -> StepDone:
        talk = steps.run(self._rules, step)
        try:
            question = next(talk)
            while True:
                question = talk.send(self.store.answer(question))
        except StopIteration as end:
            return end.value
