"""What the pool knows of a step that is not answered yet, and of a worker that is alive.

Steps are of two sizes, which do not wait for each other: a few command lines, or a whole small message, pass by the
pieces of large ones, and by floods of commands. Each worker has at most IN_FLIGHT octets of either at a time, and one
step more. So what a worker and its socket hold is bounded however many clients send at once, and one that is behind
is not sent what it cannot do yet.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.workers.blame import Record
from wire.limits import IN_FLIGHT
from wire.messages import Step

# The routing id of a worker's socket, new for each process.
Worker = bytes

SMALL, LARGE = 0, 1
# What a step takes up beside its state and its message, in octets: objects on its way.
ITSELF = 4096
# And each of its lines. A worker needs 5 ms for 128 of them, so a client that floods commands has large steps, and
# nobody who says one line waits for those of thousands.
LINE = 256


@dataclass(slots=True, eq=False)
class Task(Record):
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

    `turn` is that of the last step it was given, `answered` the latest of those it has answered. `octets` are those
    of its steps, by their size.
    """

    heard: float
    draining: bool = False
    opening: bytes = b""
    turn: int = 0
    answered: int = 0
    octets: list[int] = field(default_factory=lambda: [0, 0])
    tasks: dict[str, Task] = field(default_factory=dict)
    reserved: Task | None = None


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
