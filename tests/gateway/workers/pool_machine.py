"""The pool as a machine that hypothesis drives: whatever happens in whatever order, its promises hold."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.workers.blame import HINDSIGHT
from gateway.workers.members import MAX_LOSSES, MAX_TRIES, Worker
from gateway.workers.pool import WorkerPool
from wire.messages import Disconnected, Step


def step(session: str, seq: int = 0) -> Step:
    return Step(session, seq, 0, b"", Disconnected())


WORKERS = [b"w1", b"w2", b"w3", b"w4"]
workers = st.sampled_from(WORKERS)


def pool_of(*workers: bytes) -> WorkerPool:
    pool = WorkerPool()
    for worker in workers:
        assert pool.heartbeat(worker, draining=False, now=0)
    return pool


def send(pool: WorkerPool, *sessions: str, now: float = 0) -> dict[str, Worker]:
    """Submit steps, and say who got which."""
    for session in sessions:
        pool.submit(step(session), now)
    return {sent.session: worker for worker, sent in pool.assign(0)}


class PoolMachine(RuleBasedStateMachine):
    """A model beside the pool: who was told to do which step, and how many deaths each step has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = WorkerPool()
        self.now = 0.0
        self.alive: set[Worker] = set()
        self.draining: set[Worker] = set()
        self.at: dict[str, Worker] = {}  # where each sent step is
        self.wrong: dict[str, int] = {}  # wrong answers, of every step that is not answered
        self.charges: dict[str, list[float]] = {}  # when workers were lost that may have died of it
        self.counted: dict[str, int] = {}  # those of which nothing else was the cause
        self.open: list[tuple[float, str, bool]] = []  # of which that is not known yet, and whether it was alone
        self.deaths: list[tuple[float, set[str], bool]] = []  # of workers, with the steps that each had
        self.tries: dict[str, int] = {}
        self.order: dict[str, int] = {}  # in which steps were sent
        self.answered: dict[Worker, int] = {}  # the latest of those that a worker has answered
        self.refused: dict[str, set[Worker]] = {}
        self.count = 0
        self.sent = 0

    def forget(self, session: str) -> None:
        for known in (self.wrong, self.charges, self.counted, self.tries, self.refused):
            del known[session]
        self.at.pop(session, None)

    def suspected(self, session: str) -> bool:
        """Whether a step has to be run alone."""
        return self.wrong[session] + len(self.charges[session]) >= 2

    def decide(self) -> None:
        """A death counts unless near it, before or after, a worker died without the step."""
        for charge in [charge for charge in self.open if self.now - charge[0] >= HINDSIGHT]:
            self.open.remove(charge)
            when, session, alone = charge
            if session not in self.charges:
                continue
            near = [
                had for time, had, other in self.deaths if not other and -(0.5 if alone else 5) <= time - when <= 0.5
            ]
            self.counted[session] += all(session in had for had in near)
            if self.poison(session):
                self.deaths = [death for death in self.deaths if session not in death[1]]

    def poison(self, session: str) -> bool:
        losses = self.counted[session] + self.wrong[session]
        return losses >= MAX_LOSSES or self.tries[session] >= MAX_TRIES

    @rule()
    def submit(self) -> None:
        self.count += 1
        session = str(self.count)
        self.wrong[session] = self.counted[session] = self.tries[session] = 0
        self.charges[session] = []
        self.refused[session] = set()
        self.pool.submit(step(session), self.now)

    @rule()
    def assign(self) -> None:
        for worker, sent in self.pool.assign(0):
            assert worker in self.alive
            assert worker not in self.draining
            assert worker not in self.refused[sent.session]
            assert sent.session not in self.at
            self.at[sent.session] = worker
            self.sent += 1
            self.order[sent.session] = self.sent
            if self.suspected(sent.session):
                assert list(self.at.values()).count(worker) == 1, "a step that was suspected twice runs alone"
                assert all(self.now - when >= HINDSIGHT for when in self.charges[sent.session]), "it rests first"
        for session, worker in self.at.items():
            if self.suspected(session):
                assert [other for other in self.at if self.at[other] == worker] == [session]

    @rule(worker=workers, draining=st.booleans())
    def beat(self, worker: Worker, draining: bool) -> None:
        assert self.pool.heartbeat(worker, draining, self.now) == (worker not in self.alive)
        self.alive.add(worker)
        (self.draining.add if draining else self.draining.discard)(worker)

    @rule(worker=workers, blame=st.booleans())
    def lose(self, worker: Worker, blame: bool) -> None:
        self.pool.lose(worker, self.now, blame=blame)
        if worker not in self.alive:
            return
        self.alive.remove(worker)
        self.draining.discard(worker)
        answered = self.answered.pop(worker, 0)
        had = [session for session, at in self.at.items() if at == worker]
        alone = any(self.suspected(session) for session in had)
        if blame:
            self.deaths.append((self.now, set(had), alone))
        for session in had:
            del self.at[session]
            if blame:
                self.tries[session] += 1
                if self.order[session] > answered:
                    self.charges[session].append(self.now)
                    self.open.append((self.now, session, alone))

    @rule(data=st.data(), how=st.sampled_from(["done", "draining", "state", "wrong"]))
    def answer(self, data: st.DataObject, how: str) -> None:
        if not self.at:
            return
        session = data.draw(st.sampled_from(sorted(self.at)))
        worker = self.at[session]
        assert self.pool.step_of(worker, session, 0) == step(session)
        if how == "done":
            self.pool.finish(session)
            self.answered[worker] = max(self.answered.get(worker, 0), self.order[session])
            self.forget(session)
        elif how == "wrong":
            self.pool.answered_wrongly(session, self.now)
            del self.at[session]
            self.tries[session] += 1
            self.wrong[session] += 1
        else:
            self.pool.hand_back(session, self.now, for_good=how == "state")
            del self.at[session]
            if how == "state":
                self.refused[session].add(worker)
            else:
                self.draining.add(worker)

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.5, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for worker in self.pool.members.look_at_clock(self.now):
            assert worker in self.alive
            self.lose(worker, blame=True)
        self.condemn()
        self.assign()
        for late in self.pool.give_up_overdue(self.now, 30):
            assert late.session not in self.at
            self.forget(late.session)

    def condemn(self) -> None:
        self.decide()
        poison = {session for session in self.wrong if self.poison(session)}
        assert {step.session for step in self.pool.give_up_poison(self.now)} == poison
        for session in poison:
            assert session not in self.at
            self.forget(session)

    @invariant()
    def reservations_are_counted(self) -> None:
        reserved = [member for member in self.pool.members.values() if member.reserved is not None]
        assert self.pool._suspects.reserved == len(reserved)

    @invariant()
    def every_step_is_in_one_place(self) -> None:
        assert self.pool.pending == len(self.wrong)
        assert self.pool.waiting == len(self.wrong) - len(self.at)
        for session, at in self.at.items():
            assert at in self.alive
            assert [worker for worker in WORKERS if self.pool.step_of(worker, session, 0)] == [at]

    def teardown(self) -> None:
        """Whatever came before, a fresh worker that answers everything serves all that is left."""
        for worker in WORKERS:
            self.lose(worker, blame=False)
        # Twice: a sum of tenths can be a hair short of what it is on paper.
        self.now += 2 * HINDSIGHT
        self.condemn()
        self.pool.heartbeat(b"fresh", draining=False, now=self.now)
        while sent := self.pool.assign(0):
            for _, done in sent:
                self.pool.finish(done.session)
        assert self.pool.pending == 0


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
