"""A message of the journal as the octets of a mailbox entry, always the same ones, in pieces."""

from __future__ import annotations

from collections.abc import Iterator

from mailbox_store import mbox
from mailbox_store.journal import Entry, Journal, Message


class Rendering:
    """The entries of one message. A small one is held whole; a staged one is read from the journal each time.

    Fails: with JournalError while pieces are read.
    """

    def __init__(self, journal: Journal, message: Message) -> None:
        self._journal = journal
        self._message = message
        self.delivery = message.delivery
        # Asked for twice, for its length and for itself.
        self._heads: dict[str, bytes] = {}
        self._text = None if message.staged else mbox.whole(message.data)

    def text_length(self) -> int:
        """Octets of what all entries of the message have in common."""
        if self._text is not None:
            return len(self._text)
        return sum(len(piece) for piece in mbox.text(self._journal.pieces(self._message)))

    def head(self, mailbox: str) -> bytes:
        head = self._heads.get(mailbox)
        if head is None:
            message = self._message
            head = self._heads[mailbox] = mbox.head(message.time, message.sender, mailbox, message.trace)
        return head

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The octets of one entry, the newlines before it included."""
        start = b"\n" * entry.lead + self.head(entry.mailbox)
        if self._text is not None:
            yield start + self._text
            return
        yield start
        yield from mbox.text(self._journal.pieces(self._message))

    def mark(self) -> bytes:
        """The line of the trace that names the delivery, by which an entry is known in an edited mailbox."""
        delivery = self._message.delivery.encode()
        lines = self._message.trace.splitlines(keepends=True)
        return next((line for line in lines if delivery in line), b"")
