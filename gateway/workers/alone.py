"""Steps that may have killed two workers: they rest until it is known, then each runs alone, on a worker kept free.

Gives: `Suspects`, which has those steps while no worker has them, and knows which workers are kept free. `blame.py`
has the rules. No socket, no log and no clock: `now` is in seconds of any clock that stands still while nobody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

from gateway.workers.blame import Inquest
from gateway.workers.members import Member, Task, Worker


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
        (self.waiting if task.free else self._resting).appendleft(task)

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
                (self.waiting if task.free else self._resting).append(task)
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
            self.free(member)

    def free(self, member: Member) -> None:
        """The worker need not be kept free any more."""
        member.reserved = None
        self.reserved -= 1
