"""Which mailbox gets its waiting mail next: fair to the messages, by octets.

However large one message is, with its copies for many mailboxes, another one waits for little more than its own
length: self-clocked fair queueing (Golestani, 1994). Each mailbox stands in line with a tag: its octets, added to the
tag of the same message's mailbox before it, or to where the line is now. The smallest tag is next.

Gives: `Turns`. Pure bookkeeping; the clock is passed in.
Limits: a mailbox in line costs some 150 octets, and so does a message.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

# Tags of messages are looked through for those that mean nothing any more when there are so many more than mailboxes.
_SLACK = 1000


class Turns:
    """The line, and those that are not in it before a moment has come.

    :param cost: the message that a mailbox is to get next, and how many octets are to be written.
    """

    def __init__(self, cost: Callable[[str], tuple[int, int]]) -> None:
        self._cost = cost
        self._line: list[tuple[int, int, str]] = []
        self._later: list[tuple[float, int, str]] = []
        # Where the line is, and the last tag of each message.
        self._here = 0
        self._tags: dict[int, int] = {}
        # Those with equal tags go in the order in which they came.
        self._count = 0

    def add(self, mailbox: str) -> None:
        """Stand in line. A mailbox stands there once."""
        message, octets = self._cost(mailbox)
        tag = self._tags[message] = max(self._here, self._tags.get(message, 0)) + octets
        self._count += 1
        heapq.heappush(self._line, (tag, self._count, mailbox))

    def add_later(self, mailbox: str, due: float) -> None:
        """Stand in line from that moment on."""
        self._count += 1
        heapq.heappush(self._later, (due, self._count, mailbox))

    def hurry(self) -> None:
        """Let all that are due later stand in line now."""
        while self._later:
            self.add(heapq.heappop(self._later)[2])

    def due(self, now: float) -> bool:
        """Is there a next one?"""
        return bool(self._line) or bool(self._later and self._later[0][0] <= now)

    def next(self, now: float) -> str | None:
        """Take out the next one."""
        while self._later and self._later[0][0] <= now:
            self.add(heapq.heappop(self._later)[2])
        if not self._line:
            return None
        self._here, _, mailbox = heapq.heappop(self._line)
        if len(self._tags) > len(self._line) + _SLACK:
            self._tags = {message: tag for message, tag in self._tags.items() if tag > self._here}
        return mailbox
