"""What the store has said of addresses and mailboxes, for as long as it says that nothing has changed.

Whatever it says carries its epoch, which becomes another one as soon as an answer of before could be wrong. So what
was found in an epoch is still so when the store names that epoch again, and EPOCH_SECONDS longer: nobody need ask.
It holds nothing of any session, and nothing depends on it: a worker that has forgotten asks.

Pure bookkeeping: the clock is passed in, in seconds of any monotonic clock.
"""

from __future__ import annotations

from wire.limits import EPOCH_SECONDS
from wire.messages import Check, Lookup, Question
from wire.outcomes import Found, Outcome, Writable

# An address and its mailbox have some 60 octets, and at most 2,000; the rest is what the interpreter needs for them.
_MOST_OCTETS = 8 * 1024 * 1024
_OVERHEAD = 400


class Memory:
    """What holds in the store's epoch."""

    def __init__(self) -> None:
        self._epoch = 0
        # When a question was asked that the store answered in this epoch.
        self._asked = float("-inf")
        self._found: dict[Lookup, Found] = {}
        self._octets = 0

    def recall(self, question: Question, now: float) -> Outcome | None:
        """The outcome that the store would give; None where it has to be asked."""
        if now - self._asked >= EPOCH_SECONDS:
            return None
        if isinstance(question, Lookup):
            return self._found.get(question)
        if isinstance(question, Check) and question.epoch and question.epoch == self._epoch:
            return Writable(self._epoch)
        return None

    def learn(self, question: Question, outcome: Outcome, epoch: int, asked: float) -> None:
        """The store gave this outcome, in its epoch, to a question that was asked at `asked`.

        Of addresses only what was found is kept. Postmaster without a domain is asked for anew each time: with that
        recipient, which every server has (RFC 5321 section 4.5.1), probes ask whether the store answers now.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._asked = float("-inf")
            self._forget()
        if epoch:
            self._asked = max(self._asked, asked)
        if isinstance(question, Lookup) and question.domain and isinstance(outcome, Found) and outcome.epoch == epoch:
            if question not in self._found:
                weight = len(question.local) + len(question.domain) + len(outcome.mailbox) + _OVERHEAD
                if self._octets + weight > _MOST_OCTETS:
                    self._forget()
                self._octets += weight
            self._found[question] = outcome

    def _forget(self) -> None:
        self._found.clear()
        self._octets = 0
