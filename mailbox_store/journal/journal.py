"""The journal: what makes "250 means it is safe" true. The interface and its promises; no implementation.

*A delivery is acknowledged once the journal has it; mailboxes are a projection of the journal.* It holds each message
until its mailboxes are on disk by themselves, the exact place in each mailbox where its entry goes, after that the
message's id (the ledger), and the pieces of large messages that are still coming in.

Promises that an implementation keeps:
* All that is done inside one `transaction()` is there afterwards, through a crash or a power cut, or none of it is.
  When the block ends without an exception, it is on disk. When an exception leaves it, nothing has changed.
* Reads see what the transaction under way has written.
* It is used from one thread; `maintain` alone may be called from one other.

Fails: `JournalFull` where the disk is, `JournalError` for all else; the journal stays usable after either.
Units: octets; milliseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from wire.records import Record


class JournalError(Exception):
    """The journal could not be read or written; nothing of the transaction was kept."""


class JournalFull(JournalError):
    """No space is left for the journal; nothing of the transaction was kept."""


class HeldMessage(Record):
    """One delivery as it was asked for; its text is `staged` octets of pieces, then `data`.

    `originals` are the recipients that have another address than their mailbox: (mailbox, address).
    """

    delivery: str
    time: int
    sender: str
    trace: bytes
    staged: int
    data: bytes
    originals: tuple[tuple[str, str], ...] = ()


class HeldEntry(Record):
    """Where one message goes in one mailbox: at `start`, `lead` newlines and the rendered text, `length` octets.

    `length` counts the newlines too. `number` is the message's, growing with each delivery; `rank` tells the entries
    of one message apart.
    """

    number: int
    rank: int
    mailbox: str
    start: int
    lead: int
    length: int


class Place(Record):
    """An entry that has no number yet."""

    mailbox: str
    start: int
    lead: int
    length: int


class Pending(Record):
    """An entry that is not known to be on disk; `appended`: it was in the mailbox file, by this boot's memory."""

    entry: HeldEntry
    appended: bool


class Forgotten(Record):
    """What a checkpoint found on disk: entries, and the messages of which those were the last."""

    entries: Sequence[HeldEntry]
    messages: Sequence[int]


class Journal(Protocol):
    """See the module's text. All changes are made inside a `transaction()`; reads anywhere."""

    def transaction(self) -> AbstractContextManager[None]: ...

    def known(self, delivery: str) -> bool:
        """Is it held, or in the ledger?"""
        ...

    def add(self, message: HeldMessage, places: Sequence[Place]) -> list[HeldEntry]:
        """Hold a message, whose id is not known yet, and its entries."""
        ...

    def message(self, number: int) -> HeldMessage: ...

    def received(self, number: int) -> int | None:
        """The time of a message; None where it is not kept (any more)."""
        ...

    def pieces(self, message: HeldMessage) -> Iterator[bytes]:
        """The message's text, staged pieces first, each read when it is asked for."""
        ...

    def stage(self, delivery: str, offset: int, data: bytes, now: int) -> int:
        """Keep a piece unless one with that offset is there; gives the octets kept of that delivery."""
        ...

    def extents(self, delivery: str) -> list[tuple[int, int]]:
        """Offset and size of each staged piece, by offset."""
        ...

    def discard(self, delivery: str) -> None:
        """Drop the staged pieces of a delivery."""
        ...

    def move(self, entries: Sequence[HeldEntry]) -> None:
        """Record new places of entries."""
        ...

    def set_appended(self, entries: Iterable[HeldEntry]) -> None: ...

    def forget(self, done: Forgotten) -> None:
        """Drop what is on disk in the mailboxes: entries, and whole messages with their pieces.

        The messages' ids go to the ledger.
        """
        ...

    def pending(self) -> list[Pending]:
        """Every entry that was not forgotten, by mailbox and number."""
        ...

    def prune(self, before: int, after: int, limit: int) -> int:
        """Of the ledger's `limit` oldest ids drop those of messages of a time outside of the two; gives how many."""
        ...

    def drop_stale(self, before: int) -> int:
        """Drop staged pieces of messages of which no piece has come since; gives how many messages."""
        ...

    def boot(self) -> str:
        """The boot whose memory the `appended` marks lean on, "" for none."""
        ...

    def set_boot(self, boot: str) -> None:
        """Name it; every `appended` mark that was made before is taken back."""
        ...

    def has_room(self) -> bool:
        """Would a message be taken in now? `JournalFull` says no; asked outside of a transaction."""
        ...

    def maintain(self) -> None:
        """Do what keeps the journal quick and small, off the reply path."""
        ...

    def close(self) -> None: ...
