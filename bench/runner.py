"""Measures: every peer is up at the same time, and one after another gets the same load, round after round.

Gives: a `Bench` whose `samples` hold what each load did. Before a load the disk's writes are waited for, so that no
peer pays for the one before it. The first load of a peer in a scenario is short, warms up, and is not counted: it
tells how many messages make a run of the wished length, and that number holds for all rounds. Each load goes on with
the mailbox after the last one's. Every other round goes through the peers backwards: a machine that becomes faster or
slower in a round is as good or bad for each of them.
Fails: a peer that cannot start is left out and named; a load that fails is a sample with its `error`.
Limits: when the time is up no further load begins; the one under way ends.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import procfs
from bench.counting import Counter
from bench.generator import Job
from bench.load import Sent, by_generator, by_smtp_source
from bench.peers import Peer, PeerError
from bench.scenarios import RECIPIENTS, Scenario

# Mailboxes are emptied between loads when they hold more than this: a run must not fill the disk.
_MAILBOXES_MAX = 512 * 1024 * 1024
# A queue is given so long to deliver what was accepted.
_SETTLE_SECONDS = 90.0
_WARM_UP_MESSAGES = 100
_MOST_MESSAGES = 100_000
# smtp-source's and the kernel's limits aside, fewer messages than this per session say nothing about sessions.
_PER_SESSION = 2


@dataclass
class Sample:
    """One load on one peer. `stored_seconds` is until the mailboxes had all of it; costs are of each role.

    `cpu` is in seconds and `peak` in KiB; `settled` says that as many messages were stored as acknowledged.
    `commits`: how many of the peer's commits took at most so many seconds, where it tells.
    """

    scenario: str
    peer: str
    round: int
    sent: int
    acknowledged: int
    seconds: float
    stored: int
    stored_seconds: float
    settled: bool
    error: str
    load_cpu: float
    cpu: dict[str, float]
    peak: dict[str, int]
    dot_to_250: list[float] = field(default_factory=list)
    connect_to_greeting: list[float] = field(default_factory=list)
    commits: list[tuple[float, int]] = field(default_factory=list)


class Bench:
    """The peers that run, and what was measured so far.

    :param folder: on the disk to measure; each peer gets a folder in it.
    :param tell: shows a line of progress.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self.samples: list[Sample] = []
        self.left_out: dict[str, str] = {}
        self._folder = folder
        self._tell = tell
        self._peers: dict[str, Peer] = {}
        self._counters: dict[str, Counter] = {}
        self._counts: dict[tuple[str, str], int] = {}
        # How many messages each peer has got in a scenario.
        self._sent: defaultdict[tuple[str, str], int] = defaultdict(int)

    def start(self, name: str, peer: Peer) -> None:
        """Start a peer under a name, or note why it is left out."""
        folder = self._folder / name
        folder.mkdir(mode=0o755)
        began = time.monotonic()
        try:
            peer.start(folder, RECIPIENTS)
        except PeerError as error:
            self.left_out[name] = str(error)
            self._tell(f"{name} is left out: {error}")
            return
        self._peers[name] = peer
        if peer.stores:
            self._counters[name] = Counter(peer.mailboxes)
            self._counters[name].look()
        self._tell(f"{name} is up on port {peer.port} after {time.monotonic() - began:.1f} s: {peer.what}")

    def stop(self, names: Sequence[str] = ()) -> None:
        """End these peers, or all."""
        for name in names or list(self._peers):
            if peer := self._peers.pop(name, None):
                peer.stop()

    def measure(self, scenarios: Sequence[Scenario], rounds: int, seconds: float, deadline: float) -> None:
        """All scenarios, `rounds` times, each load about `seconds` long, until `deadline` (monotonic)."""
        for turn in range(1, rounds + 1):
            for scenario in scenarios:
                for name in list(self._peers)[:: 1 if turn % 2 else -1]:
                    if name not in scenario.only and (scenario.only or "correio-" in name):
                        continue
                    if time.monotonic() > deadline:
                        self._tell("the time is up: what is left is not measured")
                        return
                    self._sample(name, scenario, turn, seconds)

    def _sample(self, name: str, scenario: Scenario, turn: int, seconds: float) -> None:
        key = (name, scenario.key)
        if scenario.once and self._sent[key] + scenario.once > scenario.recipients:
            self._tell(f"round {turn}  {scenario.key}: every recipient has got a message: {name} gets no more")
            return
        if key not in self._counts:
            least = max(_WARM_UP_MESSAGES, _PER_SESSION * scenario.sessions)
            if scenario.size > 1024 * 1024:
                least = scenario.sessions
            # What was stored counts: a queue must not be fed for long what it delivers slowly.
            warm = self._load(name, scenario, 0, scenario.once or least)
            rate = warm.stored / warm.stored_seconds if warm.stored else warm.sent / max(warm.seconds, 0.01)
            self._counts[key] = scenario.once or min(_MOST_MESSAGES, max(least, int(rate * seconds)))
        sample = self._load(name, scenario, turn, self._counts[key])
        self.samples.append(sample)
        verdict = sample.error or ("" if sample.settled else f"{sample.stored} STORED of {sample.acknowledged}")
        rate = sample.acknowledged / sample.seconds if sample.seconds else 0.0
        self._tell(f"round {turn}  {scenario.key:22} {name:16} {rate:8.0f}/s  {verdict}")

    def _load(self, name: str, scenario: Scenario, turn: int, count: int) -> Sample:
        peer, counter = self._peers[name], self._counters.get(name)
        job = Job(
            peer.port,
            count,
            scenario.sessions,
            scenario.keep,
            scenario.pipelined,
            scenario.size,
            scenario.recipients,
            scenario.senders,
            self._sent[name, scenario.key],
        )
        self._sent[name, scenario.key] += count
        stored_before = 0
        if counter is not None:
            if counter.octets() > _MAILBOXES_MAX:
                counter.empty()
            stored_before = counter.look()
        os.sync()
        roles = peer.processes()
        procfs.forget_peak(roles.values())
        commits = dict(peer.commits())
        cpu = peer.cpu_seconds()
        began = time.monotonic()
        sent = by_generator(job) if scenario.own else by_smtp_source(job)
        stored, stored_seconds = self._settle(peer, counter, stored_before, sent, began)
        return Sample(
            scenario.key,
            name,
            turn,
            count,
            sent.acknowledged,
            sent.seconds,
            stored,
            max(stored_seconds, sent.seconds),
            counter is None or stored == sent.acknowledged,
            sent.error,
            sent.cpu_seconds,
            {role: spent - cpu[role] for role, spent in peer.cpu_seconds().items()},
            {role: procfs.peak_kib([pid]) for role, pid in roles.items()},
            sent.dot_to_250,
            sent.connect_to_greeting,
            [(seconds, count - commits[seconds]) for seconds, count in peer.commits()],
        )

    def _settle(
        self, peer: Peer, counter: Counter | None, before: int, sent: Sent, began: float
    ) -> tuple[int, float]:
        """The messages stored, and when they were: at once, unless the peer has a queue."""
        if counter is None:
            return 0, 0.0
        stored = counter.look() - before
        if peer.queues:
            end = time.monotonic() + _SETTLE_SECONDS
            while stored < sent.acknowledged and time.monotonic() < end:
                time.sleep(0.02)
                stored = counter.look() - before
            return stored, time.monotonic() - began
        return stored, sent.seconds
