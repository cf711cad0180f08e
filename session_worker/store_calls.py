"""The open questions to the store: their numbers, when to repeat one, when to give up.

Pure bookkeeping: nothing is sent here and the clock is passed in. `now` is a monotonic time in seconds, `wall` the
time of day in milliseconds since the epoch, which the store understands.

A question is repeated at once when the store has restarted (it forgot what it had not answered), or when it is known
that it or its answer was lost: the store answers in the order of what it is sent, so by the time a Ping of ours comes
back, whatever was asked before it has been answered. A store that is merely slow is asked once. Repeats carry the
same number and deadline, so the store may answer twice: the second answer is to no question, and counted in
`unexpected`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from wire.messages import Ask, Question

# How long before a worker gives up the store must stop to act, so that "nothing was stored" is true when it is said:
# time for an answer on its way, and for clocks that differ. Never more than a quarter of the whole.
_MARGIN_SECONDS = 5.0
_MARGIN_PART = 0.25

# What the asker wants back with the outcome.
Asker = TypeVar("Asker")


@dataclass(slots=True)
class _Open(Generic[Asker]):
    ask: Ask
    asker: Asker
    asked: float
    # The latest Ping that was sent before the question was, last.
    mark: int
    give_up_at: float


class StoreCalls(Generic[Asker]):
    """Open questions, each with its asker; a worker gives up on one after `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self.unexpected = 0
        self._limit = limit
        self._open: dict[int, _Open[Asker]] = {}
        self._last_request = 0
        self._mark = 0
        self._instance = ""

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, question: Question, asker: Asker, now: float, wall: int, sent: int) -> Ask:
        """Number a question; gives what to send.

        :param sent: when the gateway sent the step that asks, ms since the epoch. A worker that was asleep meanwhile
            is believed lost; another one that has got the step gives up on the store `limit` after that at the
            earliest, and says that nothing was stored. Then nothing must be stored for this one.
        """
        self._last_request += 1
        margin = min(_MARGIN_SECONDS, self._limit * _MARGIN_PART)
        deadline = min(wall + int((self._limit - margin) * 1000), sent + int(self._limit * 1000))
        ask = Ask(self._last_request, deadline, question)
        self._open[ask.request] = _Open(ask, asker, now, self._mark, now + self._limit)
        return ask

    def answered(self, request: int) -> tuple[Question, Asker, float] | None:
        """Close a question; gives it, its asker and when it was asked, or None where it is not open (any more)."""
        entry = self._open.pop(request, None)
        if entry is None:
            self.unexpected += 1
            return None
        return entry.ask.question, entry.asker, entry.asked

    def mark(self) -> int:
        """The number of a Ping that is to be sent now."""
        self._mark += 1
        return self._mark

    def heard(self, instance: str, ping: int) -> list[Ask]:
        """The store said which instance it is; gives what to send again: all if it is a new one, or what is lost.

        :param ping: the number of the Ping that it has come to; whatever was asked before it should be answered.
        """
        new, self._instance = instance != self._instance, instance
        again = [entry for entry in self._open.values() if new or entry.mark < ping]
        for entry in again:
            entry.mark = self._mark
        return [entry.ask for entry in again]

    def give_up(self, now: float) -> list[tuple[Question, Asker]]:
        """Close the questions whose time is over; gives them and their askers."""
        over = [request for request, entry in self._open.items() if now >= entry.give_up_at]
        closed = [self._open.pop(request) for request in over]
        return [(entry.ask.question, entry.asker) for entry in closed]
