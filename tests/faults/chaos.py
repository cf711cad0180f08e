"""`make chaos`: load, faults and a verdict.

    python -m tests.faults.chaos [--duration 60] [--seed N] [--connections 50] [--faults workers,store,...|all|none]
                                 [--mode processes|docker] [--crowd 3000]

Starts a stack of its own in a private folder on a free port of 127.0.0.1, loads it from many connections while
faults are injected, lets it come to rest, and then judges the mailboxes. Prints the verdict; exit status 0 only if
nothing was lost, doubled, torn or foreign, no client saw an error that its faults do not explain, and no service
took more memory than is documented. A bystander's waits are told beside the disk's; with faults that break nothing
they are judged as well.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from runtime import counted
from tests.conditions import wait_until
from tests.container_stack import ContainerStack
from tests.faults.bystander import ADDRESS as BYSTANDER
from tests.faults.bystander import Bystander, Seen
from tests.faults.injectors import Injector
from tests.faults.load import Journal, Sender
from tests.faults.peaks import Peaks
from tests.faults.verdict import Verdict, judge
from tests.stack import Stack

_ANYWHERE = ["workers", "store", "gateway", "mailboxes", "users", "clients", "large-crowd", "large-to-many"]
KINDS = {"processes": [*_ANYWHERE, "frames"], "docker": [*_ANYWHERE, "network"]}
# Those that break nothing, so that nobody may be kept waiting meanwhile: a bystander waits so long at most, in
# seconds, with 99 of 100 mails.
_HARMLESS = {"large-crowd", "large-to-many"}
_BYSTANDER_P99 = 1.0
# 4xx is what a client may be told while what its message needs is broken or being restarted.
_EXPLAINED = ("421 4.3.2", "451 4.3.0", "451 4.3.2", "452 4.3.1", "450 4.2.0")
# Kinds after which some clients may be told a 4xx, or lose their connection.
_MAY_REFUSE = {"store", "gateway", "mailboxes", "network"}
_MAY_BREAK = {"gateway"}
# What a store says that leaves something to the next, and how long all of it may take; 2.4 GiB at most.
_LEFT = "waiting in the journal for their mailboxes"
_REST_SECONDS = 300.0


@dataclass
class Report:
    """What a run showed; `logged` is what gateway and workers told of their own failures."""

    seed: int
    verdict: Verdict
    journal: Journal
    faults: dict[str, int]
    unexplained: list[str]
    logged: list[str]
    bystander: Seen
    peaks: Peaks

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.unexplained

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return "\n".join(
            [
                f"seed {self.seed}: {counted(len(self.journal.sent), 'message')} sent; faults: {faults or 'none'}",
                str(self.verdict),
                f"clients: longest wait for a reply {self.journal.longest_pause:.2f} s, "
                f"{self.journal.broken_connections} broken connections, replies other than the normal ones: "
                f"{dict(self.journal.errors) or 'none'}",
                str(self.bystander),
                str(self.peaks),
                *(f"unexplained: {line}" for line in self.unexplained),
                *(f"logged: {line}" for line in self.logged if self.unexplained),
                "GOOD" if self.good else "BAD",
            ]
        )


async def attack(
    stack: Stack | ContainerStack,
    seed: int,
    duration: float,
    connections: int,
    kinds: list[str],
    addresses: list[str],
    largest: int,
    journal: Journal,
    crowd: int,
) -> Injector:
    """Load and faults for `duration` seconds; returns once every connection has ended its last message."""
    injector = Injector(stack, seed, addresses, journal, crowd)
    senders = [Sender(journal, stack.port, addresses, name, largest) for name in range(connections)]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(sender.run()) for sender in senders]
    faults = asyncio.create_task(injector.run(kinds, stop)) if kinds else None
    await asyncio.sleep(duration)
    stop.set()
    if faults is not None:
        await faults
    for sender in senders:
        sender.stopping = True
    await asyncio.gather(*tasks)
    return injector


def unexplained(journal: Journal, kinds: list[str], seen: Seen, peaks: Peaks) -> list[str]:
    """What clients saw, and what services took, that the faults of this run do not explain."""
    lines = [f"more memory than is documented: {line}" for line in peaks.over]
    if set(kinds) <= _HARMLESS and seen.p99 > _BYSTANDER_P99:
        lines.append(f"a bystander waited {seen.p99:.2f} s for the 99th of 100 mails")
    if journal.broken_connections and not _MAY_BREAK & set(kinds):
        lines.append(counted(journal.broken_connections, "broken connection"))
    for refusal, count in journal.errors.items():
        if not (_MAY_REFUSE & set(kinds) and refusal in _EXPLAINED):
            lines.append(f"{counted(count, 'time')} {refusal}")
    return lines


def run(
    folder: Path,
    mode: str,
    seed: int,
    duration: float,
    connections: int,
    kinds: list[str],
    mailboxes: int,
    largest: int,
    crowd: int = 3000,
) -> Report:
    """One whole run in `folder`.

    :param mode: "processes" or "docker".
    :param duration: seconds of load; coming to rest takes some more.
    :param kinds: of faults, from KINDS of that mode.
    :param mailboxes: how many users there are.
    :param largest: octets of the largest message.
    :param crowd: how many clients a large crowd has.
    """
    addresses = [f"user{number}@example.com" for number in range(mailboxes)]
    journal = Journal(seed)
    kind_of_stack = ContainerStack if mode == "docker" else Stack
    users = "\n".join([*addresses, BYSTANDER]) + "\n"
    with kind_of_stack(folder, workers=3, users=users, CONVERSATION="off") as stack:
        with Peaks(stack) as peaks, Bystander(journal, stack.port, folder) as bystander:
            injector = asyncio.run(
                attack(stack, seed, duration, connections, kinds, addresses, largest, journal, crowd)
            )
        _come_to_rest(stack)
        names = ["gateway", *stack.worker_names]
        logged = [line for name in names for line in stack.log(name).splitlines() if " ERROR " in line]
    files = {address: [stack.mailboxes / f"{address}.txt", *injector.taken[address]] for address in addresses}
    files[BYSTANDER] = [stack.mailboxes / f"{BYSTANDER}.txt"]
    existing = {address: [path for path in paths if path.exists()] for address, paths in files.items()}
    verdict = judge(journal, existing, largest)
    seen = bystander.seen
    odd = unexplained(journal, kinds, seen, peaks)
    return Report(seed, verdict, journal, injector.counts, odd, logged, seen, peaks)


def _come_to_rest(stack: Stack | ContainerStack) -> None:
    """Restart the store until two stops in a row have left nothing for the next start.

    A store that ends cleanly has appended all that it acknowledged, or tells of what it has not; one that starts
    again adds nothing to what is there.
    """
    clean, end = 0, time.monotonic() + _REST_SECONDS
    while clean < 2:
        assert time.monotonic() < end, "what waits in the journal does not reach the mailboxes"
        wait_until(stack.takes_mail, "the stack takes mail")
        left = stack.log("mailbox_store").count(_LEFT)
        status = stack.terminate("mailbox_store")
        assert status == 0, (status, stack.log("mailbox_store")[-2000:])
        clean = clean + 1 if stack.log("mailbox_store").count(_LEFT) == left else 0
        stack.start("mailbox_store")
    wait_until(stack.takes_mail, "the stack takes mail")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description="Attack a stack and judge its mailboxes.")
    parser.add_argument("--duration", type=float, default=60, help="seconds of load (default 60)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--mailboxes", type=int, default=200)
    parser.add_argument("--largest", type=int, default=4_000_000, help="octets of the largest message")
    parser.add_argument(
        "--crowd", type=int, default=3000, help="clients of a large crowd, all at once (default 3000)"
    )
    parser.add_argument("--faults", default="all", help="all, none, or some of a mode's kinds")
    parser.add_argument("--mode", choices=sorted(KINDS), default="processes")
    options = parser.parse_args()
    known = KINDS[options.mode]
    kinds = {"all": known, "none": []}.get(options.faults, options.faults.split(","))
    if unknown := set(kinds) - set(known):
        parser.error(f"--faults: {', '.join(sorted(unknown))} is not one of {', '.join(known)}")
    print(
        f"chaos: seed {options.seed}, {options.duration:g} s, {counted(options.connections, 'connection')}",
        flush=True,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        report = run(
            Path(name),
            options.mode,
            options.seed,
            options.duration,
            options.connections,
            kinds,
            options.mailboxes,
            options.largest,
            options.crowd,
        )
    print(report)
    print(f"{time.monotonic() - started:.0f} s in all")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
