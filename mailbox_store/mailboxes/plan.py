"""The way of one transaction's entries into their mailboxes, on both sides of the journal's commit.

Before the commit each entry gets its place, so that the journal can hold it (`place`); after the commit the entries
are appended (`append`). The mailboxes stay open in between, which saves opening each of them twice. If a mailbox is
still as planned, what a batch has for it is appended at once, up to `_AT_ONCE` octets of a batch. All else waits
(`mailboxes.py`): what exceeds that, and entries for a mailbox that a reader has locked or replaces at that moment, or
that gives an error.

Fails: `place` with OSError where a mailbox cannot be opened for writing. Appending does not fail; what cannot be
appended waits.
Limits: `_KEPT_OPEN` mailboxes are open at a time; the others are opened again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import chain
from typing import Self

from mailbox_store.journal.journal import HeldEntry, JournalError, Place
from mailbox_store.mailboxes.files import Files, Handle
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.mailboxes.rendering import Rendering
from mailbox_store.mailboxes.visit import Doubt, ToAppend
from mailbox_store.mailboxes.writing import append, end_of, together

log = logging.getLogger(__name__)

_KEPT_OPEN = 100
# What a batch has appended before it is answered, in octets and seconds: the most that others may wait for that.
_AT_ONCE = 8 * 1024 * 1024
_AT_ONCE_SECONDS = 0.2


class Plan:
    """That of one transaction, thrown away with it. What is still open is closed at the end of its block."""

    def __init__(self, mailboxes: Mailboxes, files: Files) -> None:
        self._mailboxes = mailboxes
        self._files = files
        self._ends: dict[str, int] = {}
        self._open: dict[str, Handle] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for mailbox, handle in self._open.items():
            self._close(mailbox, handle)

    # ------------------------------------------------------------ before the commit

    def place(self, mailbox: str, length: int) -> Place:
        """The place of an entry of `length` octets, newlines before it not counted, behind all that the mailbox has
        and will have.

        :raises OSError: where the mailbox cannot be opened for writing.
        """
        end = self._ends.get(mailbox)
        if end is not None:
            return Place(mailbox, end, 0, length)
        # Open without a place: an entry that was refused after that.
        handle = self._open.get(mailbox)
        if handle is None:
            handle = self._files.open(mailbox)
            if len(self._open) >= _KEPT_OPEN:
                try:
                    return self._at_end(mailbox, length, handle)
                finally:
                    self._close(mailbox, handle)
            self._open[mailbox] = handle
        return self._at_end(mailbox, length, handle)

    def _at_end(self, mailbox: str, length: int, handle: Handle) -> Place:
        waiting = self._mailboxes.queues.get(mailbox)
        if waiting is not None:
            last = waiting.tasks[-1].entry
            return Place(mailbox, last.start + last.length, 0, length)
        size, lead = end_of(handle)
        return Place(mailbox, size, lead, length + lead)

    def placed(self, places: Iterable[Place]) -> None:
        """The entries at these places are part of the transaction: what is planned next stands behind them."""
        for place in places:
            self._ends[place.mailbox] = place.start + place.length

    def _close(self, mailbox: str, handle: Handle) -> None:
        """Close a mailbox through which nothing was written."""
        try:
            handle.close()
        except OSError as error:
            self._mailboxes.close_failed(mailbox, error)

    # ------------------------------------------------------------ after the commit

    def append(self, deliveries: Iterable[tuple[Rendering, list[HeldEntry]]]) -> None:
        """Put entries that the journal has into their mailboxes, or have them wait."""
        queues: dict[str, list[tuple[Rendering, HeldEntry]]] = {}
        for rendering, entries in deliveries:
            for entry in entries:
                queues.setdefault(entry.mailbox, []).append((rendering, entry))
        mailboxes = self._mailboxes
        room, until = _AT_ONCE, mailboxes.monotonic() + _AT_ONCE_SECONDS
        for mailbox, queue in queues.items():
            last = queue[-1][1]
            octets = last.start + last.length - queue[0][1].start
            doubt: Doubt | None = Doubt.NOTHING
            if octets <= room and mailbox not in mailboxes.queues and mailboxes.monotonic() <= until:
                room -= octets
                doubt = self._append_at_once(mailbox, queue)
            if doubt is None:
                mailboxes.appended(mailbox, [entry for _, entry in queue], octets)
            else:
                for rendering, entry in queue:
                    mailboxes.keep(entry.number, rendering)
                mailboxes.wait(mailbox, [ToAppend(entry, doubt) for _, entry in queue])

    def _append_at_once(self, mailbox: str, queue: list[tuple[Rendering, HeldEntry]]) -> Doubt | None:
        """Append to a mailbox that is as it was planned, and close it. Where it is not, or cannot be appended to:
        what may be in it of that."""
        first = queue[0][1]
        doubt: Doubt | None = Doubt.NOTHING
        handle = self._open.pop(mailbox, None)
        try:
            with handle or self._files.open(mailbox) as handle:
                try:
                    if handle.lock() and handle.stands() and end_of(handle) == (first.start, first.lead):
                        doubt = Doubt.PART
                        pieces = chain.from_iterable([rendering.pieces(entry) for rendering, entry in queue])
                        sum(append(handle, first.start, together(pieces)))
                        doubt = None
                except (OSError, JournalError) as error:
                    # The visit that is made then tells it, if it still is so.
                    log.debug("! %s: %s", mailbox, error)
        except OSError as error:
            if handle is not None:
                doubt = doubt if doubt is Doubt.NOTHING else Doubt.ANY
                self._mailboxes.close_failed(mailbox, error)
        return doubt
