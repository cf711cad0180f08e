"""Which workers are alive, and which step is where: the book-keeping behind "a worker's death costs only time".

Gives: a `WorkerPool` that is told what happened and says what to send to whom. It has no socket, no log and no
clock: `now` is passed in, in seconds of any monotonic clock.
Fails: never on what workers say; an answer that nobody waits for is told apart from one that counts.
Limits: one step per session; steps are kept until they are answered, given up or overdue. What a worker has at a
time is bounded (`tasks.py`); the rest waits here.

A worker that is behind is not one that has lost something. Steps reach it in the order in which they are sent, and
its answers come back so: with a numbered Ping behind them it is known which of them it must have come to.

A step is always in one place: with exactly one worker, or waiting. It leaves when it is answered, when it has waited
too long (`overdue`), or when it was lost too often (`condemned`). One that may have cost two workers their life is
run alone, and not before it is known what else was lost: `blame.py` has the rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from gateway.workers.blame import Inquest
from gateway.workers.tasks import ITSELF, LARGE, LINE, SMALL, Member, Task, Worker, least_loaded, with_room
from wire.limits import IN_FLIGHT, SMALL_STEP
from wire.messages import Body, Lines, Step

# wire/SPEC.md: heartbeats come every 400 ms, three missed and the worker is gone.
SILENCE = 1.2
# Steps that wait at the same time go to one worker, up to so many: a message between processes costs as much as doing
# a step or two, and carries one step or many.
_TOGETHER = 16
# Silence is counted only while the gateway looks. If it has not looked for so long, it was asleep itself.
_BLINK = 0.4


class WorkerPool:
    """Workers and unanswered steps.

    After anything that may have freed a worker or a step, call `assign` and send what it gives.
    """

    def __init__(self) -> None:
        self._members: dict[Worker, Member] = {}
        self._tasks: dict[str, Task] = {}
        # Steps that wait for any worker, by their size; for one of their own; and those that may not be run, now or
        # ever.
        self._waiting: tuple[deque[Task], deque[Task]] = (deque(), deque())
        self._alone: deque[Task] = deque()
        self._resting: deque[Task] = deque()
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
        return bool(self._waiting[SMALL] or self._waiting[LARGE] or self._alone or self._reserved)

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
            member = self._members[worker] = Member(now)
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

    def unproven(self) -> list[tuple[Worker, int]]:
        """Send these workers a Ping of that number: it comes after steps that its answer will tell of."""
        return [(worker, member.turn) for worker, member in self._members.items() if member.tasks]

    def lost_on_the_way(self, worker: Worker, sessions: Collection[str], ping: int, now: float) -> int:
        """A worker has named the sessions whose steps it has; those it ought to have and has not wait again.

        It ought to have, or to have answered, what was sent before the Ping that it answers, however far behind it
        is. Being lost counts as a try, for perhaps no worker can say what it has to say of such a step.

        :param ping: the number of that Ping; 0 for a heartbeat that answers none.
        :returns: how many do.
        """
        named = set(sessions)
        member = self._members[worker]
        if ping > member.turn:
            # It was not ours.
            ping = 0
        lost = []
        for session, task in member.tasks.items():
            if session in named:
                task.named = True
            elif task.turn <= ping:
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
        octets, spoken = ITSELF + len(step.state), step.input
        if spoken.__class__ is Body:
            octets += len(spoken.data)
        elif spoken.__class__ is Lines:
            octets += LINE * len(spoken.lines)
        size = SMALL if octets <= SMALL_STEP else LARGE
        task = self._tasks[step.session] = Task(step, now, octets, size)
        self._waiting[size].append(task)

    def assign(self, now: float) -> list[tuple[Worker, Step]]:
        """Give waiting steps to workers, as far as there are any; what it returns must be sent."""
        sent: list[tuple[Worker, Step]] = []
        if self._alone or self._reserved:
            self._assign_alone(sent, now)
        for size, waiting in enumerate(self._waiting):
            if waiting:
                self._assign_waiting(size, waiting, now, sent)
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
            for waiting in self._waiting:
                kept = [task for task in waiting if task.step.session not in gone]
                waiting.clear()
                waiting.extend(kept)
            self._alone = deque(task for task in self._alone if task.step.session not in gone)
            self._resting = deque(task for task in self._resting if task.step.session not in gone)
            for member in self._members.values():
                if member.reserved in late:
                    self._free(member)
            for session in gone:
                del self._tasks[session]
        return [task.step for task in late]

    # ------------------------------------------------------------ inside

    def _assign_waiting(self, size: int, waiting: deque[Task], now: float, sent: list[tuple[Worker, Step]]) -> None:
        """Give steps of one size to the workers that have room for some."""
        free = with_room(self._members, size)
        worker: Worker | None = None
        together = 0
        for _ in range(len(waiting)):
            if not free:
                break
            task = waiting.popleft()
            if worker is None or together == 0 or worker in task.refused_by:
                worker, together = least_loaded(free, task.refused_by), _TOGETHER
            if worker is None:
                waiting.append(task)
                continue
            together -= 1
            self._give(worker, task, now, sent)
            if free[worker].octets[size] >= IN_FLIGHT:
                del free[worker]
                worker = None

    def _takers(self) -> dict[Worker, Member]:
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
            worker = least_loaded(free, task.refused_by)
            if worker is None:
                self._alone.append(task)
            else:
                free.pop(worker).reserved = task
                self._reserved += 1
                room -= 1
        for worker, member in takers.items():
            if member.reserved is not None and not member.tasks:
                self._give(worker, member.reserved, now, sent)

    def _unreserve(self, member: Member) -> None:
        """Let a step that still waits for this worker find another; one that runs already keeps it."""
        if member.reserved is not None and member.reserved.worker is None:
            self._alone.appendleft(member.reserved)
            self._free(member)

    def _free(self, member: Member) -> None:
        member.reserved = None
        self._reserved -= 1

    def _give(self, worker: Worker, task: Task, now: float, sent: list[tuple[Worker, Step]]) -> None:
        self._turn += 1
        member = self._members[worker]
        member.turn = task.turn = self._turn
        member.tasks[task.step.session] = task
        member.octets[task.size] += task.octets
        task.worker = worker
        task.since = now
        task.named = False
        sent.append((worker, task.step))

    def _release(self, task: Task) -> None:
        """Take a step from the worker that has it."""
        assert task.worker is not None
        member = self._members[task.worker]
        del member.tasks[task.step.session]
        member.octets[task.size] -= task.octets
        if member.reserved is task:
            self._free(member)
        task.worker = None

    def _retry(self, task: Task, now: float) -> None:
        """Let a step that came back wait at the head of its queue."""
        task.worker = None
        task.since = now
        queue = self._resting if not task.free else self._alone if task.alone else self._waiting[task.size]
        queue.appendleft(task)
