"""Which workers are alive, what each one has, and what is known about a step that is not answered yet.

Gives: `Members`, told of each heartbeat, and asked who has fallen silent; a `Member` for each worker and a `Task`
for each step, with what is held against it. `pool.py` brings them together, `blame.py` has the rules of blame. No
socket, no log and no clock: `now` is in seconds of any monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from wire.messages import Step

# The routing id of a worker's socket, new for each process.
Worker: TypeAlias = bytes

# wire/SPEC.md: heartbeats come every 400 ms, three missed and the worker is gone.
SILENCE = 1.2
# After so many suspicions a step has its worker for itself, and after so many losses that count no other one.
_SUSPICIONS = 2
MAX_LOSSES = 3
# A step may kill a worker later than at its beginning. No step is tried forever.
MAX_TRIES = 10
# Silence is counted only while the gateway looks. If it has not looked for so long, it was asleep itself.
_BLINK = 0.4


@dataclass(slots=True, eq=False, kw_only=True)
class Case:
    """What is held against one step.

    `tries` counts how often it was lost, with its worker or on the way; `suspected` the workers that may have died of
    it. Of these, `counted` are those that nothing else seems to have killed, and of the `undecided` that is not known
    yet.
    """

    tries: int = 0
    suspected: int = 0
    counted: int = 0
    undecided: int = 0

    @property
    def alone(self) -> bool:
        """Whether the step may share its worker with no other."""
        return self.suspected >= _SUSPICIONS

    @property
    def poison(self) -> bool:
        """Whether the step has had its last chance."""
        return self.counted >= MAX_LOSSES or self.tries >= MAX_TRIES

    @property
    def may_run(self) -> bool:
        """Whether the step may be run now."""
        return not self.poison and not (self.alone and self.undecided)

    def answered_wrongly(self) -> None:
        """Its worker gave an answer that cannot be: it lives, so nothing else was the cause."""
        self.tries += 1
        self.suspected += 1
        self.counted += 1


@dataclass(slots=True, eq=False)
class Task(Case):
    """A step that has not been answered, and what is held against it.

    `since` is when it got its worker, or began to wait; `octets` is about what it takes up, and gives its `size`.
    `worker` has it, if anyone. `turn` orders what workers were given; `named`: its worker said in a heartbeat that it
    has the step.
    """

    step: Step
    since: float
    octets: int
    size: int
    worker: Worker | None = None
    turn: int = 0
    named: bool = False
    refused_by: frozenset[Worker] = frozenset()


@dataclass(slots=True, eq=False)
class Member:
    """A worker that is alive, the sessions whose steps it has, and the step it is kept free for.

    `last_sign` is when it last said anything. `turn` is that of the last step it was given, `answered` the latest of
    those it has answered. `octets` are those of its steps, by their size.
    """

    last_sign: float
    draining: bool = False
    opening: bytes = b""
    turn: int = 0
    answered: int = 0
    octets: list[int] = field(default_factory=lambda: [0, 0])
    tasks: dict[str, Task] = field(default_factory=dict)
    reserved: Task | None = None


class Members(dict[Worker, Member]):
    """The workers that are alive, by their ids."""

    def __init__(self) -> None:
        # How long the gateway has stood still in all: a time in which nobody could be heard.
        self.slept = 0.0
        self._looked: float | None = None

    @property
    def taking(self) -> int:
        """How many take steps."""
        return sum(1 for member in self.values() if not member.draining)

    @property
    def opening(self) -> bytes:
        """What all that take steps would greet a client with; empty where they differ, or there are none."""
        openings = {member.opening for member in self.values() if not member.draining}
        return openings.pop() if len(openings) == 1 else b""

    def heartbeat(self, worker: Worker, draining: bool, now: float, opening: bytes = b"") -> bool:
        """One came; it registers a worker that is not known. True if it was not."""
        member = self.get(worker)
        if new := member is None:
            member = self[worker] = Member(now)
        member.last_sign = now
        member.draining = draining
        member.opening = opening
        return new

    def look_at_clock(self, now: float) -> list[Worker]:
        """Call several times a second. Gives those that have said nothing for too long: have the pool `lose` them."""
        if self._looked is not None and (slept := now - self._looked) > _BLINK:
            # The gateway itself stood still: what workers said meanwhile has not been read yet.
            self.slept += slept
            for member in self.values():
                member.last_sign = min(now, member.last_sign + slept)
        self._looked = now
        return [worker for worker, member in self.items() if now - member.last_sign > SILENCE]

    def unproven(self) -> list[tuple[Worker, int]]:
        """Send these a Ping of that number: it comes after steps that its answer will tell of."""
        return [(worker, member.turn) for worker, member in self.items() if member.tasks]
