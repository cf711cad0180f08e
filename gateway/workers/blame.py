"""Which losses of workers count against a step: what tells a step that kills from one that merely was there.

Gives: a `Case` for each step, and the `Inquest` that is told of every worker that is lost. No socket, no log and no
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

A step that is suspected twice is run alone: a worker is kept free for it, so that no other step is lost with it a
third time. It rests until all is known about its losses, which lets a storm pass. Three losses that count make it
poison. "Near" is five seconds before a loss; half of one where the worker had nothing but this step, for then it says
more. The loss of a worker that ran another step alone is no sign of a storm: two steps that kill would excuse each
other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

# Workers that die together are not noticed together: a closed connection tells at once, silence by heartbeats.
HINDSIGHT = 0.5
_STORM = 5.0
_STORM_ALONE = 0.5
# After so many suspicions a step has its worker for itself, and after so many losses that count no other one.
_SUSPICIONS = 2
MAX_LOSSES = 3
# A step may kill a worker later than at its beginning. No step is tried forever.
MAX_TRIES = 10


@dataclass(slots=True, eq=False, kw_only=True)
class Case:
    """What is held against one step.

    `tries` counts how often it was lost, with its worker or on the way, `suspected` the workers that may have died of
    it, `counted` those of them that nothing else seems to have killed, `undecided` those of which that is not known
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
    def free(self) -> bool:
        """Whether the step may be run now."""
        return not self.poison and not (self.alone and self.undecided)

    def answered_wrongly(self) -> None:
        """Its worker gave an answer that cannot be: it lives, so nothing else was the cause."""
        self.tries += 1
        self.suspected += 1
        self.counted += 1


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
            case.counted += not self._stormy(loss, case)
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
