"""A message of the journal as the octets of a mailbox entry, always the same ones, in pieces."""

from __future__ import annotations

from collections.abc import Iterator

from mailbox_store import mbox
from mailbox_store.journal import Entry, Journal, Message


class Rendering:
    """The entries of one message. A small one is held whole; a staged one, where there is no room to hold it, is read
    from the journal each time.

    `held`: octets of a staged message that are held.

    Fails: with JournalError where pieces are read.
    """

    def __init__(self, journal: Journal, message: Message, room: int = 0) -> None:
        """:param room: up to so many octets of a staged message are held as well."""
        self._journal = journal
        self._message = message
        self.delivery = message.delivery
        self._originals: dict[str, list[str]] = {}
        for mailbox, address in message.originals:
            self._originals.setdefault(mailbox, []).append(address)
        # Asked for twice, for its length and for itself.
        self._heads: dict[str, bytes] = {}
        self._text: list[bytes] | None = None
        self.held = 0
        if not message.staged:
            self._text = [mbox.whole(message.data)]
        elif message.staged + len(message.data) <= room:
            self._text = list(self._read())
            self.held = message.staged + len(message.data)

    def _read(self) -> Iterator[bytes]:
        return mbox.text(self._journal.pieces(self._message))

    def text_length(self) -> int:
        """Octets of what all entries of the message have in common."""
        return sum(map(len, self._read() if self._text is None else self._text))

    def head(self, mailbox: str) -> bytes:
        head = self._heads.get(mailbox)
        if head is None:
            message = self._message
            originals = self._originals.get(mailbox, ()) if self._originals else ()
            head = self._heads[mailbox] = mbox.head(message.time, message.sender, mailbox, message.trace, originals)
        return head

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The octets of one entry, the newlines before it included."""
        start = b"\n" * entry.lead + self.head(entry.mailbox)
        for piece in self._read() if self._text is None else self._text:
            # The first one with what stands before it: a small entry is one write.
            yield start + piece
            start = b""

    def mark(self) -> bytes:
        """The line of the trace that names the delivery, by which an entry is known in an edited mailbox."""
        delivery = self._message.delivery.encode()
        lines = self._message.trace.splitlines(keepends=True)
        return next((line for line in lines if delivery in line), b"")
