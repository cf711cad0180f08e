"""What is measured: the loads, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
RECIPIENTS = 10_000
_SENDERS = 100_000
_LIST = 1000


@dataclass(frozen=True)
class Scenario:
    """A load. `own`: by our generator, which knows the times of single messages; otherwise by smtp-source.

    `keep`: connections are reused; otherwise each message has a new one. `once`: it has so many messages, each to a
    recipient who has got none; otherwise as many as the time allows. `only`: the peers it is for, empty for all.
    """

    key: str
    sessions: int
    keep: bool = True
    size: int = 4 * KIB
    own: bool = False
    pipelined: bool = False
    recipients: int = 1
    senders: int = 1
    once: int = 0
    only: tuple[str, ...] = ()


def throughput(sessions: int, keep: bool, own: bool = False) -> Scenario:
    """Connections that are kept, or one for each message; all say the same."""
    return Scenario(f"{'keep' if keep else 'new'} s={sessions}", sessions, keep, own=own)


def new_senders(sessions: int) -> Scenario:
    """Each message comes from a sender that was never seen before."""
    return Scenario(f"new senders s={sessions}", sessions, own=True, senders=_SENDERS)


def _latency(keep: bool) -> Scenario:
    return Scenario(f"times {'keep' if keep else 'new'} s=20", 20, keep, own=True)


MAILING_LIST = Scenario("mailing list", 100, own=True, recipients=RECIPIENTS, once=_LIST)
PIPELINED = Scenario("pipelined s=20", 20, own=True, pipelined=True)
_COMMON = [_latency(True), _latency(False), PIPELINED]
_LAST = [*map(new_senders, (20, 100)), MAILING_LIST]
_MAILBOXES = [Scenario(f"mailboxes {count} s=100", 100, own=True, recipients=count) for count in (1, 100)]
_WORKERS = [Scenario(f"workers {n} s=100", 100, only=(f"correio-{n}",)) for n in (1, 2, 3)]

QUICK = [*(throughput(sessions, keep) for keep in (True, False) for sessions in (20, 100)), *_COMMON, *_LAST]
FULL = [
    *(throughput(sessions, keep) for keep in (True, False) for sessions in (1, 20, 100, 500)),
    *(
        Scenario(f"{label} s=20", 20, size=size)
        for label, size in (("1 KiB", KIB), ("100 KiB", 100 * KIB), ("5 MiB", 5 * KIB * KIB))
    ),
    *_COMMON,
    *_MAILBOXES,
    *_LAST,
    *_WORKERS,
]
