"""What a worker asks the store: the open questions, and what of its answers still holds.

Gives: `StoreCalls`, the numbers of questions, when to repeat one and when to give up; `Lookups`, which spares the
store what it has just said. Pure bookkeeping: nothing is sent here, and the clock is passed in, in seconds of any
monotonic one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from wire.messages import Ask, Check, Lookup, Question
from wire.outcomes import Found, Outcome, Writable

# How long before a worker gives up the store must stop to act, so that "nothing was stored" is true when it is said:
# time for an answer on its way, and for clocks that differ. Never more than a quarter of the whole.
_MARGIN_SECONDS = 5.0
_MARGIN_PART = 0.25
# What look-ups may take up, in octets: each has its texts, 60 to 2,000, and what the interpreter needs for it.
_MOST_OCTETS = 8 * 1024 * 1024
_OVERHEAD = 300

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
    """Open questions, each with its asker; a worker gives up on one after `limit` seconds.

    One is repeated at once when the store has restarted (it forgot what it had not answered), or when it is known
    that it or its answer was lost: the store answers in the order of what it is sent, so by the time a Ping of ours
    comes back, whatever was asked before it has been answered. A store that is merely slow is asked once. A repeat
    has the same number and deadline, so two answers may come: the second is to no question, counted in `unexpected`.
    """

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

        :param wall: the time of day, ms since the epoch.
        :param sent: when the gateway sent the step that asks, likewise. A worker that was asleep meanwhile is
            believed lost; another one that has got the step gives up on the store `limit` after that at the earliest,
            and says that nothing was stored. Then nothing must be stored for this one.
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

    def on_pong(self, instance: str, ping: int) -> list[Ask]:
        """The store is there; gives what to send again: all if it is a new instance, or what was lost.

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


class Lookups:
    """What the store has said of addresses and mailboxes, each for as long as it said that this holds.

    It tells nothing of any session, and nothing depends on it: a worker that has forgotten asks.
    """

    def __init__(self) -> None:
        # An address, and its mailbox; a mailbox, which can be written. Each until then.
        self._found: dict[Lookup, tuple[str, float]] = {}
        self._writable: dict[str, float] = {}
        self._octets = 0

    def recall(self, question: Question, now: float) -> Outcome | None:
        """The outcome that holds at this time, and for how long still; None where the store has to be asked."""
        if question.__class__ is Lookup:
            mailbox, until = self._found.get(question, ("", 0.0))
            left = int((until - now) * 1000)
            return Found(mailbox, holds=left) if left > 0 else None
        if question.__class__ is Check:
            left = int((min(self._writable.get(mailbox, 0.0) for mailbox in question.mailboxes) - now) * 1000)
            return Writable(holds=left) if left > 0 else None
        return None

    def learn(self, question: Question, outcome: Outcome, asked: float) -> None:
        """The store gave this outcome to a question that was asked at that time, from which on it holds."""
        if question.__class__ is Check:
            self._set_writable(question.mailboxes, outcome.holds if isinstance(outcome, Writable) else 0, asked)
        elif question.__class__ is Lookup:
            if isinstance(outcome, Found):
                if question not in self._found:
                    self._make_room(len(question.local) + len(question.domain) + len(outcome.mailbox))
                self._found[question] = outcome.mailbox, asked + outcome.holds / 1000
                self._set_writable((outcome.mailbox,), outcome.writable_for, asked)
            else:
                self._found.pop(question, None)

    def _set_writable(self, mailboxes: tuple[str, ...], holds: int, asked: float) -> None:
        for mailbox in mailboxes:
            if mailbox not in self._writable:
                self._make_room(len(mailbox))
            self._writable[mailbox] = asked + holds / 1000

    def _make_room(self, octets: int) -> None:
        # What has run out is not looked for. When there is too much, all goes, and what is needed is asked anew.
        self._octets += octets + _OVERHEAD
        if self._octets > _MOST_OCTETS:
            self._found.clear()
            self._writable.clear()
            self._octets = octets + _OVERHEAD
