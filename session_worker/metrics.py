"""What a session worker counts, and under which names.

Gives: `Counts`, plain numbers that the service adds to as it goes; `figures`, what it tells of itself with each
heartbeat; `families`, both as Prometheus reads them. docs/metrics.md lists them.
Limits: numbers of now (`figures`) are up to half a second old.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import cast

from prometheus_client.core import Metric

from runtime.metrics import counter, gauge, histogram
from runtime.telling import OCTETS, Histogram
from runtime.vitals import Figures
from wire.messages import Check, Deliver, Discard, Lookup, Question, Stage
from wire.outcomes import Failed, Outcome, TimedOut

_KINDS: tuple[type[Question], ...] = (Lookup, Check, Stage, Deliver, Discard)


class Counts:
    """Since the start of this worker."""

    def __init__(self) -> None:
        # What commands and messages were answered: verb, `message` or `other`, and code.
        self.replies: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.done = 0
        self.refused = 0
        self.faults = 0
        self.injected = 0
        # Answers of the store, and its silence, to each kind of question.
        self.questions: defaultdict[tuple[type[Question], type[Outcome]], int] = defaultdict(int)
        for kind in _KINDS:
            # There from the start: the first one of a series that was not there is no increase to Prometheus.
            self.questions[kind, Failed] = self.questions[kind, TimedOut] = 0
        self.question = {kind: Histogram() for kind in _KINDS}
        self.repeated = 0
        self.deliveries = 0
        self.known_deliveries = 0
        self.message = Histogram(OCTETS)

    def delivered(self, question: Deliver, repeat: bool) -> None:
        """The store has a message; `repeat`: it had it before."""
        self.deliveries += 1
        if repeat:
            self.known_deliveries += 1
        self.message.add(question.staged + len(question.data))


def figures(counts: Counts, under_way: int) -> Figures:
    """What the worker tells of itself now; `under_way`: steps without an answer."""
    return {"steps_under_way": under_way, "steps": counts.done, "deliveries": counts.deliveries}


def families(counts: Counts, now: Figures, dropped: dict[str, int]) -> Iterator[Metric]:
    """The worker's metric families.

    :param now: the latest `figures`.
    :param dropped: what was dropped, by reason.
    """
    yield counter(
        "correio_worker_replies",
        "Replies by command and code; message is the end of one, other is no command of SMTP, 0 a reply that a "
        "failure on cue withheld. Worry where 4xx grow: they are this server's trouble.",
        {(verb, str(code)): number for (verb, code), number in dict(counts.replies).items()},
        "verb",
        "code",
    )
    yield counter(
        "correio_worker_steps",
        "Steps by outcome: done, refused (it stops, or the state is of a newer release), fault. "
        "Worry about each fault.",
        {"done": counts.done, "refused": counts.refused, "fault": counts.faults},
        "outcome",
    )
    yield gauge(
        "correio_worker_steps_under_way",
        "Steps that it has. Worry where it grows and grows: the store is slow.",
        cast(int, now.get("steps_under_way", 0)),
    )
    yield counter(
        "correio_worker_questions",
        "Questions to the store by kind and outcome. Worry about failed and timed_out.",
        {(_snake(kind), _snake(outcome)): number for (kind, outcome), number in dict(counts.questions).items()},
        "kind",
        "outcome",
    )
    yield histogram(
        "correio_worker_question_seconds",
        "From a question to the store's answer. Worry where deliver takes over 1 s: the disk is slow.",
        {_snake(kind): times for kind, times in counts.question.items()},
        "kind",
    )
    yield counter(
        "correio_worker_questions_repeated",
        "Questions that were sent again. The store was restarted, or a connection broke: worry where it grows for "
        "long. A slow store is asked once.",
        counts.repeated,
    )
    yield counter(
        "correio_worker_deliveries", "Messages that the store has taken from this worker.", counts.deliveries
    )
    yield counter(
        "correio_worker_deliveries_known",
        "Those of them that the store had already, from an earlier run of the step.",
        counts.known_deliveries,
    )
    yield histogram(
        "correio_worker_message_bytes", "Sizes of delivered messages, as clients sent them.", counts.message
    )
    yield counter("correio_worker_injected_failures", "Failures on cue (FAULTS=on).", counts.injected)
    yield counter(
        "correio_worker_dropped",
        "What was dropped: malformed or senseless messages, late answers of the store, states of sessions that are "
        "none. Worry about malformed and bad_state.",
        dropped,
        "reason",
    )


def _snake(kind: type) -> str:
    """NoSuchUser to no_such_user, as label values are written."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
