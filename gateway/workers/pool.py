"""Which step is where: the book-keeping behind "a worker's death costs only time".

Gives: a `WorkerPool` that is told what happened and says what to send to whom. It has no socket, no log and no
clock: `now` is passed in, in seconds of any monotonic clock.
Fails: never on what workers say; an answer that nobody waits for is told apart from one that counts.
Limits: one step per session; steps are kept until they are answered or given up. Each worker has at most IN_FLIGHT
octets of steps of either size at a time, and one step more; the rest waits here. So what a worker and its socket hold
is bounded however many clients send at once, and a worker that is behind does not get steps that it cannot do yet.

Steps are of two sizes, which do not wait for each other: a few command lines, or a whole small message, overtake the
pieces of large messages, and floods of commands.

A worker that is only behind has lost nothing. Steps reach it in the order in which they are sent, and its answers
come back in that order. So the answer to a numbered Ping shows which steps the worker must have reached.

A step is always in one place: with exactly one worker, or waiting. It leaves when it is answered, when it has waited
too long (`give_up_overdue`), or when it was lost too often (`give_up_poison`). A step that may have killed two
workers runs alone, and not before it is known what else was lost: `blame.py` has the rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from gateway.workers.blame import Suspects
from gateway.workers.members import Member, Members, Task, Worker
from wire.limits import IN_FLIGHT, SMALL_STEP
from wire.messages import Body, Lines, Step

SMALL, LARGE = 0, 1
# What a step takes up beside its state and its message, in octets: objects on its way.
ITSELF = 4096
# And each of its lines. A worker needs 5 ms for 128 of them, so a client that floods commands has large steps, and
# nobody who says one line waits for those of thousands.
LINE = 256
# Steps that wait at the same time go to one worker, up to so many: a message between processes costs as much as doing
# a step or two, and carries one step or many.
_TOGETHER = 16


class WorkerPool:
    """Workers and unanswered steps.

    After anything that may have freed a worker or a step, call `assign` and send what it gives.
    """

    def __init__(self) -> None:
        self.members = Members()
        self._tasks: dict[str, Task] = {}
        # Steps that wait for any worker, by their size, and those that wait for one of their own.
        self._waiting: tuple[deque[Task], deque[Task]] = (deque(), deque())
        self._suspects = Suspects()
        self._turn = 0

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
        return bool(self._waiting[SMALL] or self._waiting[LARGE] or self._suspects.waiting or self._suspects.reserved)

    # ------------------------------------------------------------ workers come, go and fall silent

    def heartbeat(self, worker: Worker, draining: bool, now: float, opening: bytes = b"") -> bool:
        """One came; it registers a worker that is not known. True if it was not."""
        new = self.members.heartbeat(worker, draining, now, opening)
        if draining:
            self._suspects.unreserve(self.members[worker])
        return new

    def sign_of_life(self, worker: Worker, now: float) -> None:
        """Any other message came. It counts as a heartbeat of a known worker; it registers nobody."""
        if member := self.members.get(worker):
            member.last_sign = now

    def retry_lost(self, worker: Worker, sessions: Collection[str], ping: int, now: float) -> int:
        """A worker has named the sessions whose steps it has: those that it ought to have and has not wait again.

        What was sent before the Ping that it answers, it has or has answered, however far behind it is. If it has
        done neither, the step was lost. That counts as a try: it may be that no answer to this step can ever come.

        :param ping: the number of that Ping; 0 for a heartbeat that answers none.
        :returns: how many do.
        """
        named = set(sessions)
        member = self.members[worker]
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

    def lose(self, worker: Worker, now: float, *, blame: bool = True, undelivered: Iterable[Step] = ()) -> int | None:
        """A worker is gone; its steps wait for another one, or to be given up.

        :param blame: whether a step of it may have been what killed it. A worker that said goodbye was not killed.
        :param undelivered: steps that never reached it, and so cannot have.
        :returns: how many it had; None for a worker that is not known.
        """
        member = self.members.pop(worker, None)
        if member is None:
            return None
        self._suspects.unreserve(member)
        alone = member.reserved is not None
        if alone:
            # It has the step that it was kept free for, which is retried below like the others.
            self._suspects.let_go(member)
        if blame:
            innocent = {(step.session, step.seq) for step in undelivered}
            tried = [task for task in member.tasks.values() if (task.step.session, task.step.seq) not in innocent]
            for task in tried:
                task.tries += 1
            # Steps are begun in the order in which they are sent.
            suspects = [task for task in tried if not task.named and task.turn > member.answered]
            self._suspects.inquest.lost(now - self.members.slept, tried, suspects, alone=alone)
        # Backwards, because each one goes to the head of its queue.
        for task in reversed(member.tasks.values()):
            self._retry(task, now)
        return len(member.tasks)

    def give_up_poison(self, now: float) -> list[Step]:
        """Forget the steps that have had their last chance, and give them; others that rested may be run now.

        Call several times a second, after those who fell silent were lost.
        """
        poison = [task.step for task in self._suspects.decide(now - self.members.slept)]
        for step in poison:
            del self._tasks[step.session]
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
        if self._suspects.waiting or self._suspects.reserved:
            takers = {worker: member for worker, member in self.members.items() if not member.draining}
            for worker, task in self._suspects.reserve(takers, least_loaded):
                self._give(worker, task, now, sent)
        for size, waiting in enumerate(self._waiting):
            if waiting:
                self._assign_waiting(size, waiting, now, sent)
        return sent

    def step_of(self, worker: Worker, session: str, seq: int) -> Step | None:
        """The step that this worker has under that name; None if it has none: its answer is late, or wrong."""
        task = self._tasks.get(session)
        if task is None or task.worker != worker or task.step.seq != seq:
            return None
        return task.step

    def finish(self, session: str) -> None:
        """The session's step has been answered by the worker that has it."""
        task = self._tasks.pop(session)
        assert task.worker is not None
        member = self.members[task.worker]
        if task.turn > member.answered:
            member.answered = task.turn
        self._release(task)

    def hand_back(self, session: str, now: float, *, for_good: bool) -> None:
        """The worker that has the session's step refused it, and with `for_good` will never take it."""
        task = self._tasks[session]
        worker = task.worker
        self._release(task)
        assert worker is not None
        if for_good:
            task.refused_by |= {worker}
        else:
            # It says so before its heartbeat could.
            self.members[worker].draining = True
            self._suspects.unreserve(self.members[worker])
        self._retry(task, now)

    def answered_wrongly(self, session: str, now: float) -> None:
        """The worker that has the session's step gave an answer that cannot be: as if the step had lost it."""
        task = self._tasks[session]
        self._release(task)
        task.answered_wrongly()
        self._retry(task, now)

    def give_up_overdue(self, now: float, patience: float) -> list[Step]:
        """Forget the steps that have waited longer than `patience` seconds, and give them."""
        waits = (task for task in self._tasks.values() if task.worker is None)
        late = dict.fromkeys(task for task in waits if now - task.since > patience)
        if late:
            for waiting in self._waiting:
                kept = [task for task in waiting if task not in late]
                waiting.clear()
                waiting.extend(kept)
            self._suspects.remove(late)
            for member in self.members.values():
                if member.reserved in late:
                    self._suspects.let_go(member)
            for task in late:
                del self._tasks[task.step.session]
        return [task.step for task in late]

    # ------------------------------------------------------------ inside

    def _assign_waiting(self, size: int, waiting: deque[Task], now: float, sent: list[tuple[Worker, Step]]) -> None:
        """Give steps of one size to the workers that have room for some."""
        free = with_room(self.members, size)
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

    def _give(self, worker: Worker, task: Task, now: float, sent: list[tuple[Worker, Step]]) -> None:
        self._turn += 1
        member = self.members[worker]
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
        member = self.members[task.worker]
        del member.tasks[task.step.session]
        member.octets[task.size] -= task.octets
        if member.reserved is task:
            self._suspects.let_go(member)
        task.worker = None

    def _retry(self, task: Task, now: float) -> None:
        """Let a step that came back wait at the head of its queue."""
        task.worker = None
        task.since = now
        if task.alone or not task.may_run:
            self._suspects.add(task)
        else:
            self._waiting[task.size].appendleft(task)


def with_room(members: dict[Worker, Member], size: int) -> dict[Worker, Member]:
    """The workers that may be given a step of that size: they take steps, and are kept free for none."""
    return {
        worker: member
        for worker, member in members.items()
        if not member.draining and member.reserved is None and member.octets[size] < IN_FLIGHT
    }


def least_loaded(members: dict[Worker, Member], excluded: Collection[Worker]) -> Worker | None:
    """The worker with the fewest steps, of equals the one that has not been given any for longest."""
    best: Worker | None = None
    least = (0, 0)
    for worker, member in members.items():
        load = (len(member.tasks), member.turn)
        if worker not in excluded and (best is None or load < least):
            best, least = worker, load
    return best
