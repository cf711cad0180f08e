"""Where the entries of one transaction go: worked out before the journal's commit, so that it can hold the places.

Gives: `Plan`. The mailboxes are open from here until they are appended to, which saves each a second opening.
Fails: with OSError where a mailbox cannot be opened for writing.
Limits: `_KEPT_OPEN` mailboxes are open at a time; the others are opened again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from mailbox_store.journal.journal import Place
from mailbox_store.mailboxes.files import Handle
from mailbox_store.mailboxes.mailboxes import Mailboxes

_KEPT_OPEN = 100


class Plan:
    """The plan of one transaction, thrown away with it. What it leaves open is closed at the end of its block."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes
        self._ends: dict[str, int] = {}
        # The mailboxes that are open. `Mailboxes.append` takes out those it appends to, and closes them.
        self.handles: dict[str, Handle] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for mailbox, handle in self.handles.items():
            self._mailboxes.leave(mailbox, handle)

    def place(self, mailbox: str, length: int) -> Place:
        """The place of an entry of `length` octets, newlines before it not counted.

        :raises OSError: where the mailbox cannot be opened for writing.
        """
        end = self._ends.get(mailbox)
        if end is not None:
            return Place(mailbox, end, 0, length)
        # Open without a place: an entry that was refused after that.
        if mailbox in self.handles:
            return self._mailboxes.end_of(mailbox, length, self.handles[mailbox])
        handle = self._mailboxes.open(mailbox)
        if len(self.handles) < _KEPT_OPEN:
            self.handles[mailbox] = handle
            return self._mailboxes.end_of(mailbox, length, handle)
        try:
            return self._mailboxes.end_of(mailbox, length, handle)
        finally:
            self._mailboxes.leave(mailbox, handle)

    def placed(self, places: Iterable[Place]) -> None:
        """The entries at these places are part of the transaction: what is planned next stands behind them."""
        for place in places:
            self._ends[place.mailbox] = place.start + place.length
