"""Which losses of workers count against a step: how a step that kills differs from one that was merely there.

Gives: the `Inquest`, which is told of every lost worker, and `Suspects`, the steps that may have killed two workers.
A suspect rests until that is known, and then runs alone, on a worker that is kept free. No socket, no log and no
clock: `now` is passed in, in seconds of any clock that stands still while nobody looks.
Fails: never.
Limits: what counts is known HINDSIGHT seconds after a loss, not at once.

    the worker ...                                                       the step is     the loss counts
    said goodbye                                                         not suspected   no
    never got the step: it was lost without it                           not suspected   no
    lived on with it: answered a later one, named it in a heartbeat      not suspected   no
    was lost, and near that time one that did not have the step as well  suspected       no
    was lost, and no other                                               suspected       yes
    gave an answer that cannot be                                        suspected       yes

A step that is suspected twice runs alone: a worker is kept free for it, so that no other step is lost with it a third
time. First it rests until all is known about its losses, which lets a storm pass. Three losses that count make it
poison. "Near" is five seconds before a loss. It is half a second if the worker had nothing but this step, because
such a loss says more. The loss of a worker that ran another step alone is no sign of a storm; otherwise two steps
that kill would excuse each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from gateway.workers.members import MAX_LOSSES, Case, Member, Task, Worker

# Workers that die together are not noticed together: a closed connection tells at once, silence by heartbeats.
HINDSIGHT = 0.5
_STORM = 5.0
_STORM_ALONE = 0.5


@dataclass(slots=True)
class _Loss:
    """A worker that was lost at `when`, with all steps that it had got; `alone`: it ran one by itself."""

    when: float
    had: frozenset[Case]
    alone: bool


class Inquest:
    """The workers that were lost of late, and the suspicions that are not decided."""

    def __init__(self) -> None:
        self._losses: deque[_Loss] = deque()
        self._open: deque[tuple[_Loss, Case]] = deque()

    def lost(self, now: float, had: Collection[Case], suspects: Iterable[Case], *, alone: bool) -> None:
        """A worker was lost that had got these steps.

        :param suspects: those of the steps that it may have died of.
        :param alone: whether it ran one step alone.
        """
        loss = _Loss(now, frozenset(had), alone)
        self._losses.append(loss)
        for case in suspects:
            case.suspected += 1
            case.undecided += 1
            self._open.append((loss, case))

    def decide(self, now: float) -> None:
        """See which losses count, of those about which all is known by now. Call several times a second."""
        while self._open and now - self._open[0][0].when >= HINDSIGHT:
            loss, case = self._open.popleft()
            case.undecided -= 1
            if not self._stormy(loss, case):
                case.counted += 1
            if case.counted >= MAX_LOSSES:
                # Whatever else was lost with it is explained, and is no storm.
                self._losses = deque(other for other in self._losses if case not in other.had)
        oldest = self._open[0][0].when if self._open else now
        while self._losses and oldest - self._losses[0].when > _STORM:
            self._losses.popleft()

    def _stormy(self, loss: _Loss, case: Case) -> bool:
        """Whether something else seems to have killed workers when this one was lost."""
        earliest = loss.when - (_STORM_ALONE if loss.alone else _STORM)
        return any(
            earliest <= other.when <= loss.when + HINDSIGHT and not other.alone and case not in other.had
            for other in self._losses
        )


class Suspects:
    """The steps that rest, those that wait for a worker of their own, and the inquest about them all."""

    def __init__(self) -> None:
        self.inquest = Inquest()
        # May not be run, now or ever.
        self._resting: deque[Task] = deque()
        self.waiting: deque[Task] = deque()
        # How many workers are kept free.
        self.reserved = 0

    def add(self, task: Task) -> None:
        """One has come back from its worker."""
        (self.waiting if task.may_run else self._resting).appendleft(task)

    def remove(self, gone: Collection[Task]) -> None:
        """These are given up."""
        self.waiting = deque(task for task in self.waiting if task not in gone)
        self._resting = deque(task for task in self._resting if task not in gone)

    def decide(self, now: float) -> list[Task]:
        """Let those that have rested wait for a worker; gives, and forgets, those that have had their last chance."""
        self.inquest.decide(now)
        resting, self._resting = self._resting, deque()
        poison = []
        for task in resting:
            if task.poison:
                poison.append(task)
            else:
                (self.waiting if task.may_run else self._resting).append(task)
        return poison

    def reserve(
        self,
        takers: dict[Worker, Member],
        least_loaded: Callable[[dict[Worker, Member], Collection[Worker]], Worker | None],
    ) -> list[tuple[Worker, Task]]:
        """Keep workers free for the steps that wait; gives those whose worker is idle now, to be sent.

        :param takers: the workers that take steps.
        """
        free = {worker: member for worker, member in takers.items() if member.reserved is None}
        # Half of the workers, or the only one: the others go on serving everyone else.
        room = max(1, len(takers) // 2) - (len(takers) - len(free))
        for _ in range(len(self.waiting)):
            if room <= 0:
                break
            task = self.waiting.popleft()
            worker = least_loaded(free, task.refused_by)
            if worker is None:
                self.waiting.append(task)
            else:
                free.pop(worker).reserved = task
                self.reserved += 1
                room -= 1
        return [
            (worker, member.reserved)
            for worker, member in takers.items()
            if member.reserved is not None and not member.tasks
        ]

    def unreserve(self, member: Member) -> None:
        """Let a step that still waits for this worker find another; one that runs already keeps it."""
        if member.reserved is not None and member.reserved.worker is None:
            self.waiting.appendleft(member.reserved)
            self.let_go(member)

    def let_go(self, member: Member) -> None:
        """The worker need not be kept free any more."""
        member.reserved = None
        self.reserved -= 1
