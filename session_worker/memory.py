"""What the store said a moment ago about addresses, so that each of a hundred sessions need not ask it again.

It holds nothing of any session, and nothing depends on it: a worker that has forgotten asks. The list of users may
be up to `KEPT_SECONDS` behind the store's here; a mailbox that is gone by then is met when the message is delivered.

Pure bookkeeping: the clock is passed in, in seconds of any monotonic clock.
"""

from __future__ import annotations

from wire.messages import Lookup, Question
from wire.outcomes import Found, Outcome

# The store takes a change of users.txt over within half a second, and all of it is to be done within a second.
KEPT_SECONDS = 0.25
# Addresses and mailbox names have at most some 1,000 octets each.
_MOST = 2048


class Memory:
    """Addresses that the store has found."""

    def __init__(self) -> None:
        self._found: dict[Lookup, tuple[Found, float]] = {}

    def recall(self, question: Question, now: float) -> Outcome | None:
        """The outcome that the store would give again; None where it has to be asked."""
        if not isinstance(question, Lookup):
            return None
        known = self._found.get(question)
        if known is None:
            return None
        found, since = known
        return found if now - since < KEPT_SECONDS else None

    def learn(self, question: Question, outcome: Outcome, asked: float) -> None:
        """The store gave this outcome to a question that was asked at `asked`. Only what was found is kept.

        Postmaster without a domain is asked for anew each time: with that recipient, which every server has (RFC 5321
        section 4.5.1), probes ask whether the store answers now.
        """
        if isinstance(question, Lookup) and question.domain and isinstance(outcome, Found):
            if len(self._found) >= _MOST:
                self._found.clear()
            self._found[question] = (outcome, asked)
