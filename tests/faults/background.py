"""What goes on in the background of a fault test: load from several connections, and a supervisor's part.

Both are context managers; they end, and are judged, with their block.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.conditions import DEADLINE, wait_until
from tests.faults.load import Journal, Sender
from tests.faults.verdict import judge
from tests.stack import Stack

ADDRESSES = [f"user{number}@example.com" for number in range(20)]
# A user who gets nothing from the load.
MARIA = "maria@example.com"
USERS = "\n".join([*ADDRESSES, MARIA]) + "\n"
_LARGEST = 20_000
# How often a dead process is looked for; a real supervisor takes a little longer.
_LOOK = 0.05


@dataclass
class Load:
    """Load under way."""

    journal: Journal

    def wait_for(self, more: int) -> None:
        """Return once so many more messages have been acknowledged."""
        goal = len(self.journal.acknowledged) + more
        wait_until(lambda: len(self.journal.acknowledged) >= goal, f"{more} more messages are acknowledged")


@contextmanager
def load(stack: Stack, connections: int = 10, seed: int = 1) -> Iterator[Load]:
    """Send mail as long as the block runs; then check that nothing was lost, doubled or torn.

    :param stack: one with the users of USERS.
    """
    journal = Journal(seed)
    senders = [Sender(journal, stack.port, ADDRESSES, name, _LARGEST) for name in range(connections)]

    async def send() -> None:
        await asyncio.gather(*(sender.run() for sender in senders))

    thread = threading.Thread(target=lambda: asyncio.run(send()), name="load", daemon=True)
    thread.start()
    under_way = Load(journal)
    try:
        under_way.wait_for(20)
        yield under_way
        under_way.wait_for(20)
    finally:
        for sender in senders:
            sender.stopping = True
        thread.join(DEADLINE)
    assert not thread.is_alive(), "the load does not end"
    files = {address: [stack.mailboxes / f"{address}.txt"] for address in ADDRESSES}
    verdict = judge(journal, files, _LARGEST)
    print(f"{verdict}\nlongest wait for a reply: {journal.longest_pause:.2f} s")
    assert verdict.good, str(verdict)


def without_errors(journal: Journal) -> bool:
    """Whether no client saw anything but its normal replies."""
    return not journal.errors and not journal.broken_connections


@contextmanager
def supervised(
    stack: Stack, programs: dict[str, str], on_death: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Start what dies again, as a supervisor does, as long as the block runs.

    :param programs: what is looked after, and the program text of each ("" for the service itself).
    :param on_death: told the name of each that has died.
    """
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(_LOOK):
            for name, program in programs.items():
                if stack.processes[name].poll() is not None:
                    on_death(name)
                    stack.start(name, program)

    thread = threading.Thread(target=look, name="supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(DEADLINE)
