"""What is measured: the loads, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
RECIPIENTS = 10_000


@dataclass(frozen=True)
class Scenario:
    """A load. `own`: by our generator, which knows the times of single messages; otherwise by smtp-source.

    `keep`: connections are reused; otherwise each message has a new one. `only`: the peers it is for, empty for all.
    """

    key: str
    sessions: int
    keep: bool = True
    size: int = 4 * KIB
    own: bool = False
    pipelined: bool = False
    recipients: int = 1
    senders: int = 1
    only: tuple[str, ...] = ()


def _throughput(sessions: int, keep: bool) -> Scenario:
    return Scenario(f"{'keep' if keep else 'new'} s={sessions}", sessions, keep)


def _latency(keep: bool) -> Scenario:
    return Scenario(f"times {'keep' if keep else 'new'} s=20", 20, keep, own=True)


def _mailboxes(count: int) -> Scenario:
    return Scenario(f"mailboxes {count} s=100", 100, own=True, recipients=count)


# Each message is from a sender that was never seen before.
_NEW_SENDERS = Scenario("new senders s=100", 100, own=True, recipients=RECIPIENTS, senders=RECIPIENTS)
_PIPELINED = Scenario("pipelined s=20", 20, own=True, pipelined=True)
_WORKERS = [Scenario(f"workers {n} s=100", 100, only=(f"correio-{n}",)) for n in (1, 2, 3)]

QUICK = [
    *(_throughput(sessions, keep) for keep in (True, False) for sessions in (20, 100)),
    _latency(True),
    _latency(False),
    _PIPELINED,
    _mailboxes(RECIPIENTS),
    _NEW_SENDERS,
]
FULL = [
    *(_throughput(sessions, keep) for keep in (True, False) for sessions in (1, 20, 100, 500)),
    *(
        Scenario(f"{label} s=20", 20, size=size)
        for label, size in (("1 KiB", KIB), ("100 KiB", 100 * KIB), ("5 MiB", 5 * KIB * KIB))
    ),
    _latency(True),
    _latency(False),
    _PIPELINED,
    *(_mailboxes(count) for count in (1, 100, RECIPIENTS)),
    _NEW_SENDERS,
    *_WORKERS,
]
