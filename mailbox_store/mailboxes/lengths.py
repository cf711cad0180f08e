"""How long messages that come in pieces will be in a mailbox, counted while they come.

A mailbox's entry has its place before the journal's commit, for which its length must be known. To read a large
message for that, once all of it is here, would keep everybody waiting.

Gives: `Lengths`. Pieces count in order; what is not known of a message (the store was restarted in the middle of it,
say) is None, and then its text has to be read.
Limits: `_MOST` messages at a time, some 1 KiB each; the one that began first is forgotten for another.
"""

from __future__ import annotations

from copy import deepcopy

from mail.mbox import Text

# Twice as many as a gateway has connections, which have a message under way each.
_MOST = 20_000


class _Counted:
    """A message so far: octets that have come, and that they will be in a mailbox."""

    def __init__(self) -> None:
        self.come = 0
        self.length = 0
        self.text = Text()

    def add(self, data: bytes) -> None:
        self.come += len(data)
        self.length += len(self.text.feed(data))


class Lengths:
    """The messages under way."""

    def __init__(self) -> None:
        self._counted: dict[str, _Counted] = {}

    def add(self, delivery: str, offset: int, data: bytes) -> None:
        """A piece was kept. One that came before changes nothing."""
        counted = self._counted.get(delivery)
        if counted is None:
            if offset:
                return
            while len(self._counted) >= _MOST:
                del self._counted[next(iter(self._counted))]
            counted = self._counted[delivery] = _Counted()
        if offset == counted.come:
            counted.add(data)

    def drop(self, delivery: str) -> None:
        """No more pieces will come."""
        self._counted.pop(delivery, None)

    def whole(self, delivery: str, staged: int, data: bytes) -> int | None:
        """Octets of the message's text in a mailbox, or None where it is not known.

        :param staged: octets of it that have come in pieces.
        :param data: the rest of it.
        """
        counted = self._counted.get(delivery)
        if counted is None or counted.come != staged:
            return None
        # What is asked here may fail and be asked again.
        counted = deepcopy(counted)
        counted.add(data)
        return counted.length + len(counted.text.finish())
