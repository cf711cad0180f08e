"""What the gateway counts, and under which names.

Gives: `GatewayCounts`, plain numbers that the gateway's parts add to as they go; `figures`, what it tells of itself
each second; `families`, both as Prometheus reads them. docs/metrics.md lists them.
Limits: numbers of now (`figures`) are up to a second old.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric

from gateway.telling.farewells import Farewell
from runtime.metrics import counter, figure, gauge, histogram
from runtime.telling import Histogram
from runtime.vitals import Figures
from wire.messages import Told

# Of the answers to messages: hundreds of the code. A failure on cue may say nothing at all.
_ANSWERS = {2: "accepted", 4: "try_again", 5: "refused", 0: "none"}


class GatewayCounts:
    """Since the start of this gateway."""

    def __init__(self) -> None:
        self.connections = 0
        self.refused = {Farewell.TOO_MANY: 0, Farewell.TOO_MANY_FROM_ADDRESS: 0, Farewell.SHUTDOWN: 0}
        self.farewells = dict.fromkeys(Farewell, 0)
        self.octets_in = 0
        self.octets_out = 0
        # From the connection to the greeting, and from the final dot to its reply.
        self.greeting = Histogram()
        self.message = Histogram()
        # From a step's beginning to its answer, whatever happened to workers in between.
        self.step = Histogram()
        # Commands that were answered without a step: the verb, and the code.
        self.known: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.answers = dict.fromkeys(_ANSWERS, 0)
        self.redispatched = {"worker_lost": 0, "refused": 0, "wrong_answer": 0, "lost_on_the_way": 0}
        self.workers_lost = {"silent": 0, "disconnected": 0, "left": 0}
        self.poisoned = 0

    def answered(self, told: Iterable[Told]) -> None:
        """A message has had its answer."""
        for each in told:
            self.answers[each.code // 100 if each.code // 100 in _ANSWERS else 0] += 1

    def answered_at_once(self, told: Iterable[Told]) -> None:
        """Commands were answered without a step."""
        for each in told:
            self.known[each.verb or "other", each.code] += 1

    @property
    def accepted(self) -> int:
        """Messages that were taken."""
        return self.answers[2]


def figures(counts: GatewayCounts, connections: int, workers: int, waiting: int, pending: int) -> Figures:
    """What the gateway tells of itself now.

    :param pending: steps without an answer, `waiting` of which no worker has.
    """
    return {
        "connections": connections,
        "workers": workers,
        "steps_waiting": waiting,
        "steps_under_way": pending - waiting,
        "messages": counts.accepted,
    }


def families(counts: GatewayCounts, now: Figures, malformed: int, senseless: int) -> Iterator[Metric]:
    """The gateway's metric families.

    :param now: the latest `figures`.
    :param malformed: messages of workers that could not be read; `senseless`: those that made no sense.
    """
    yield gauge(
        "correio_gateway_connections",
        "Clients that are connected. Worry near MAX_CONNECTIONS.",
        figure(now, "connections"),
    )
    yield counter(
        "correio_gateway_connections_accepted",
        "Connections that clients have made, refused ones too.",
        counts.connections,
    )
    yield counter(
        "correio_gateway_connections_refused",
        "Connections that were told 421 at once. Worry where too_many grows.",
        _named(counts.refused),
        "reason",
    )
    yield counter(
        "correio_gateway_farewells",
        "Sessions that the gateway itself has ended with 421. "
        "Worry about no_worker and poisoned; idle is the clients' doing.",
        _named(counts.farewells),
        "kind",
    )
    yield counter("correio_gateway_received_bytes", "Octets that clients have sent.", counts.octets_in)
    yield counter("correio_gateway_sent_bytes", "Octets of replies.", counts.octets_out)
    yield histogram(
        "correio_gateway_greeting_seconds",
        "From a connection to its greeting: what any client waits at least. Worry over 1 s.",
        counts.greeting,
    )
    yield histogram(
        "correio_gateway_message_seconds",
        "From the end of a message to its reply: mostly the journal's sync. Worry over 1 s.",
        counts.message,
    )
    yield histogram(
        "correio_gateway_step_seconds",
        "From a step's beginning to its answer, waiting for a worker and repeats included. Worry over 1 s.",
        counts.step,
    )
    yield counter(
        "correio_gateway_messages",
        "Messages by their answer: accepted (2xx), try_again (4xx), refused (5xx), none. Worry about try_again.",
        {_ANSWERS[answer]: number for answer, number in counts.answers.items()},
        "answer",
    )
    yield counter(
        "correio_gateway_replies_known",
        "Commands that took no step, for their answer was known, from a moment ago or given ahead: these replies no "
        "worker counts.",
        {(verb, str(code)): number for (verb, code), number in dict(counts.known).items()},
        "verb",
        "code",
    )
    yield gauge(
        "correio_gateway_steps_waiting",
        "Steps that no worker has. Worry where it stays over 0: workers are too few, or gone.",
        figure(now, "steps_waiting"),
    )
    yield gauge("correio_gateway_steps_under_way", "Steps that a worker has.", figure(now, "steps_under_way"))
    yield counter(
        "correio_gateway_steps_redispatched",
        "Steps that had to wait for another worker, or to be given up. refused is a worker that stops; worry about "
        "wrong_answer. None is sent again because its worker is behind.",
        dict(counts.redispatched),
        "reason",
    )
    yield counter(
        "correio_gateway_steps_poisoned",
        "Steps given up because they cost their workers' lives; POISON_DIR has them. Worry about each one.",
        counts.poisoned,
    )
    yield gauge(
        "correio_gateway_workers", "Workers that take steps. Worry at 0: no mail is taken.", figure(now, "workers")
    )
    yield counter(
        "correio_gateway_workers_lost",
        "Workers that went: left said goodbye. Worry where the others, silent and disconnected, grow.",
        dict(counts.workers_lost),
        "how",
    )
    yield counter(
        "correio_gateway_dropped",
        "Messages of workers that were dropped. "
        "Worry about malformed; senseless are also the late answers of a slow worker.",
        {"malformed": malformed, "senseless": senseless},
        "reason",
    )


def _named(counts: Mapping[Farewell, int]) -> dict[str, int]:
    return {farewell.name.lower(): number for farewell, number in counts.items()}
