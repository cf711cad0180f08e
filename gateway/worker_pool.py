"""Which workers are alive, and which step is where: the book-keeping behind "a worker's death costs only time".

Gives: a `WorkerPool` that is told what happened and says what to send to whom. It has no socket, no log and no
clock: `now` is passed in, in seconds of any monotonic clock.
Fails: never on what workers say; an answer that nobody waits for is told apart from one that counts.
Limits: one step per session; steps are kept until they are answered, given up or overdue.

A step is always in one place: with exactly one worker, or waiting. It leaves when it is answered, when it has waited
too long (`overdue`), or when it was lost too often (`condemned`). One that may have cost two workers their life is
run alone, and not before it is known what else was lost: `blame.py` has the rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from gateway.blame import Inquest, Record
from wire.messages import Step

# The routing id of a worker's socket, new for each process.
Worker = bytes

# wire/SPEC.md: heartbeats come every 400 ms, three missed and the worker is gone.
SILENCE = 1.2
# wire/SPEC.md: a step of some age that so many heartbeats in a row do not name was lost on the way.
_UNNAMED = 2
# Steps that wait at the same time go to one worker, up to so many: a message between processes costs as much as doing
# a step or two, and carries one step or many.
_TOGETHER = 16
# Silence is counted only while the gateway looks. If it has not looked for so long, it was asleep itself.
_BLINK = 0.4


@dataclass(slots=True, eq=False)
class _Task(Record):
    """A step that has not been answered, and what is held against it.

    `worker` has it, if anyone; `since` is when it got it, or began to wait. `turn` orders what a worker was given;
    `named`: its worker said in a heartbeat that it has the step; `unnamed` counts the heartbeats in a row that should
    have said so and did not.
    """

    step: Step
    since: float
    worker: Worker | None = None
    turn: int = 0
    named: bool = False
    unnamed: int = 0
    refused_by: frozenset[Worker] = frozenset()


@dataclass(slots=True, eq=False)
class _Member:
    """A worker that is alive, the sessions whose steps it has, and the step it is kept free for.

    `turn` is that of the last step it was given, `answered` the latest of those it has answered.
    """

    heard: float
    draining: bool = False
    opening: bytes = b""
    turn: int = 0
    answered: int = 0
    tasks: dict[str, _Task] = field(default_factory=dict)
    reserved: _Task | None = None


class WorkerPool:
    """Workers and unanswered steps.

    After anything that may have freed a worker or a step, call `assign` and send what it gives.
    """

    def __init__(self) -> None:
        self._members: dict[Worker, _Member] = {}
        self._tasks: dict[str, _Task] = {}
        # Steps that wait for any worker; for one of their own; and those that may not be run, now or ever.
        self._waiting: deque[_Task] = deque()
        self._alone: deque[_Task] = deque()
        self._resting: deque[_Task] = deque()
        # How many members have `reserved` set.
        self._reserved = 0
        self._looked: float | None = None
        # How long the gateway has stood still in all: a time in which nobody could be heard.
        self._slept = 0.0
        self._turn = 0
        self._inquest = Inquest()

    # ------------------------------------------------------------ what can be seen

    def __contains__(self, worker: Worker) -> bool:
        """Is it here, draining or not?"""
        return worker in self._members

    @property
    def workers(self) -> int:
        """How many workers are alive and take steps."""
        return sum(1 for member in self._members.values() if not member.draining)

    @property
    def opening(self) -> bytes:
        """What all workers that take steps would greet a client with; empty where they differ, or there are none."""
        openings = {member.opening for member in self._members.values() if not member.draining}
        return openings.pop() if len(openings) == 1 else b""

    @property
    def pending(self) -> int:
        """How many steps have not been answered."""
        return len(self._tasks)

    @property
    def waiting(self) -> int:
        """How many steps are with no worker."""
        return sum(1 for task in self._tasks.values() if task.worker is None)

    @property
    def has_waiting(self) -> bool:
        """Whether `assign` has something to do; unlike `waiting` it costs nothing to ask."""
        return bool(self._waiting or self._alone or self._reserved)

    def load(self, worker: Worker) -> int | None:
        """How many steps a worker has; None for one that is not known."""
        member = self._members.get(worker)
        return None if member is None else len(member.tasks)

    @property
    def members(self) -> list[Worker]:
        """All workers that are known."""
        return list(self._members)

    # ------------------------------------------------------------ workers come, go and fall silent

    def alive(self, worker: Worker, draining: bool, now: float, opening: bytes = b"") -> bool:
        """A heartbeat came; it registers a worker that is not known. True if it was not."""
        member = self._members.get(worker)
        if new := member is None:
            member = self._members[worker] = _Member(now)
        member.heard = now
        member.draining = draining
        member.opening = opening
        if draining:
            self._unreserve(member)
        return new

    def heard(self, worker: Worker, now: float) -> None:
        """Any other message came. It counts as a heartbeat of a known worker; it registers nobody."""
        if member := self._members.get(worker):
            member.heard = now

    def lost_on_the_way(self, worker: Worker, sessions: Collection[str], now: float) -> int:
        """A worker has named the sessions whose steps it has; those it ought to have and has not wait again.

        A step that has just been sent cannot be named yet, so only those of some age count, and not at once.

        It counts as a try, for perhaps no worker can say what it has to say of such a step.

        :returns: how many do.
        """
        named = set(sessions)
        lost = []
        for session, task in self._members[worker].tasks.items():
            task.named = task.named or session in named
            task.unnamed = 0 if session in named or now - task.since < SILENCE else task.unnamed + 1
            if task.unnamed >= _UNNAMED:
                lost.append(task)
        for task in lost:
            self._release(task)
            task.tries += 1
            self._retry(task, now)
        return len(lost)

    def silent(self, now: float) -> list[Worker]:
        """The workers that have said nothing for too long: `lose` them. Call several times a second."""
        if self._looked is not None and (slept := now - self._looked) > _BLINK:
            # The gateway itself stood still: what workers said meanwhile has not been read yet.
            self._slept += slept
            for member in self._members.values():
                member.heard = min(now, member.heard + slept)
        self._looked = now
        return [worker for worker, member in self._members.items() if now - member.heard > SILENCE]

    def lose(self, worker: Worker, now: float, *, blame: bool = True, undelivered: Iterable[Step] = ()) -> None:
        """A worker is gone; its steps wait for another one, or to be `condemned`.

        :param blame: whether a step of it may have been what killed it. A worker that said goodbye was not killed.
        :param undelivered: steps that never reached it, and so cannot have.
        """
        member = self._members.pop(worker, None)
        if member is None:
            return
        self._unreserve(member)
        alone = member.reserved is not None
        if alone:
            # It has the step that it was kept free for, which is retried below like the others.
            self._free(member)
        if blame:
            innocent = {(step.session, step.seq) for step in undelivered}
            tried = [task for task in member.tasks.values() if (task.step.session, task.step.seq) not in innocent]
            for task in tried:
                task.tries += 1
            # Steps are begun in the order in which they are sent.
            suspects = [task for task in tried if not task.named and task.turn > member.answered]
            self._inquest.lost(now - self._slept, tried, suspects, alone=alone)
        # Backwards, because each one goes to the head of its queue.
        for task in reversed(member.tasks.values()):
            self._retry(task, now)

    def condemned(self, now: float) -> list[Step]:
        """Give up, and forget, the steps that have had their last chance; others that rested may be run now.

        Call several times a second, after `silent`.
        """
        self._inquest.decide(now - self._slept)
        resting, self._resting = self._resting, deque()
        poison = []
        for task in resting:
            if task.poison:
                del self._tasks[task.step.session]
                poison.append(task.step)
            elif task.free:
                self._alone.append(task)
            else:
                self._resting.append(task)
        return poison

    # ------------------------------------------------------------ steps come, are sent, and are answered

    def submit(self, step: Step, now: float) -> None:
        """A new step; the one before of its session has been answered."""
        task = _Task(step, now)
        self._tasks[step.session] = task
        self._waiting.append(task)

    def assign(self, now: float) -> list[tuple[Worker, Step]]:
        """Give waiting steps to workers, as far as there are any; what it returns must be sent."""
        sent: list[tuple[Worker, Step]] = []
        if self._alone or self._reserved:
            self._assign_alone(sent, now)
        if not self._waiting:
            return sent
        free = {worker: member for worker, member in self._takers().items() if member.reserved is None}
        if not free:
            return sent
        worker: Worker | None = None
        room = 0
        for _ in range(len(self._waiting)):
            task = self._waiting.popleft()
            if worker is None or room == 0 or worker in task.refused_by:
                worker, room = _least_loaded(free, task.refused_by), _TOGETHER
            if worker is None:
                self._waiting.append(task)
            else:
                room -= 1
                self._give(worker, task, now, sent)
        return sent

    def holds(self, worker: Worker, session: str, seq: int) -> Step | None:
        """The step that this worker has under that name; None if it has none: its answer is late, or wrong."""
        task = self._tasks.get(session)
        if task is None or task.worker != worker or task.step.seq != seq:
            return None
        return task.step

    def finish(self, session: str) -> None:
        """The session's step has been answered by the worker that holds it."""
        task = self._tasks.pop(session)
        assert task.worker is not None
        member = self._members[task.worker]
        if task.turn > member.answered:
            member.answered = task.turn
        self._release(task)

    def hand_back(self, session: str, now: float, *, for_good: bool) -> None:
        """The worker that holds the session's step refused it, and with `for_good` will never take it."""
        task = self._tasks[session]
        worker = task.worker
        self._release(task)
        assert worker is not None
        if for_good:
            task.refused_by |= {worker}
        else:
            # It says so before its heartbeat could.
            self._members[worker].draining = True
            self._unreserve(self._members[worker])
        self._retry(task, now)

    def fail(self, session: str, now: float) -> None:
        """The worker that holds the session's step gave an answer that cannot be: as if the step had lost it."""
        task = self._tasks[session]
        self._release(task)
        task.wrong_answer()
        self._retry(task, now)

    def overdue(self, now: float, patience: float) -> list[Step]:
        """Give up, and forget, the steps that have waited longer than `patience` seconds."""
        late = [task for task in self._tasks.values() if task.worker is None and now - task.since > patience]
        if late:
            gone = {task.step.session for task in late}
            self._waiting = deque(task for task in self._waiting if task.step.session not in gone)
            self._alone = deque(task for task in self._alone if task.step.session not in gone)
            self._resting = deque(task for task in self._resting if task.step.session not in gone)
            for member in self._members.values():
                if member.reserved in late:
                    self._free(member)
            for session in gone:
                del self._tasks[session]
        return [task.step for task in late]

    # ------------------------------------------------------------ inside

    def _takers(self) -> dict[Worker, _Member]:
        return {worker: member for worker, member in self._members.items() if not member.draining}

    def _assign_alone(self, sent: list[tuple[Worker, Step]], now: float) -> None:
        """Reserve workers for the steps that run alone, and send those whose worker is idle."""
        takers = self._takers()
        free = {worker: member for worker, member in takers.items() if member.reserved is None}
        # Half of the workers, or the only one: the others go on serving everyone else.
        room = max(1, len(takers) // 2) - (len(takers) - len(free))
        for _ in range(len(self._alone)):
            if room <= 0:
                break
            task = self._alone.popleft()
            worker = _least_loaded(free, task.refused_by)
            if worker is None:
                self._alone.append(task)
            else:
                free.pop(worker).reserved = task
                self._reserved += 1
                room -= 1
        for worker, member in takers.items():
            if member.reserved is not None and not member.tasks:
                self._give(worker, member.reserved, now, sent)

    def _unreserve(self, member: _Member) -> None:
        """Let a step that still waits for this worker find another; one that runs already keeps it."""
        if member.reserved is not None and member.reserved.worker is None:
            self._alone.appendleft(member.reserved)
            self._free(member)

    def _free(self, member: _Member) -> None:
        member.reserved = None
        self._reserved -= 1

    def _give(self, worker: Worker, task: _Task, now: float, sent: list[tuple[Worker, Step]]) -> None:
        self._turn += 1
        member = self._members[worker]
        member.turn = task.turn = self._turn
        member.tasks[task.step.session] = task
        task.worker = worker
        task.since = now
        task.named = False
        task.unnamed = 0
        sent.append((worker, task.step))

    def _release(self, task: _Task) -> None:
        """Take a step from the worker that has it."""
        assert task.worker is not None
        member = self._members[task.worker]
        del member.tasks[task.step.session]
        if member.reserved is task:
            self._free(member)
        task.worker = None

    def _retry(self, task: _Task, now: float) -> None:
        """Let a step that came back wait at the head of its queue."""
        task.worker = None
        task.since = now
        queue = self._resting if not task.free else self._alone if task.alone else self._waiting
        queue.appendleft(task)


def _least_loaded(members: dict[Worker, _Member], excluded: Collection[Worker]) -> Worker | None:
    """The worker with the fewest steps, of equals the one that has not been given any for longest."""
    best: Worker | None = None
    least = (0, 0)
    for worker, member in members.items():
        load = (len(member.tasks), member.turn)
        if worker not in excluded and (best is None or load < least):
            best, least = worker, load
    return best
