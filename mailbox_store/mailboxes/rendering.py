"""A message of the journal as the octets of a mailbox entry, always the same ones, in pieces; and how many they are.

An entry gets its place in the mailbox before the journal's commit, so its length must be known by then. Reading a
large message for that, once all of it is here, would keep everybody waiting. So its pieces are counted as they come.

Gives: `Rendering`, of one message; `Lengths`, of those that are under way.
Limits: `Lengths` knows `_MOST` messages at a time, some 1 KiB each; for another, the one that began first is
forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

from mail import mbox, trace
from mailbox_store.journal.journal import HeldEntry, HeldMessage, Journal

# Octets of a text up to which it is held from its first reading on, for the next mailbox that gets it.
HELD = 4 * 1024 * 1024
# Twice as many as a gateway has connections, which have a message under way each.
_MOST = 20_000


class Rendering:
    """The entries of one message. A small one is held whole; a large one is read from the journal each time.

    Fails: with JournalError where pieces are read.
    """

    def __init__(self, journal: Journal, message: HeldMessage, length: int | None = None) -> None:
        """:param length: octets of the text, where that is known already."""
        self._journal = journal
        self._message = message
        self._length = length
        self.delivery = message.delivery
        self._originals: dict[str, list[str]] = {}
        for mailbox, address in message.originals:
            self._originals.setdefault(mailbox, []).append(address)
        # Asked for twice, for its length and for itself.
        self._heads: dict[str, bytes] = {}
        self._text: list[bytes] | None = None
        if not message.staged:
            text = mbox.whole(message.data)
            self._text, self._length = [text], len(text)

    def text_length(self) -> int:
        """Octets of what all entries of the message have in common."""
        if self._length is None:
            self._length = sum(map(len, self._read()))
        return self._length

    def head(self, mailbox: str) -> bytes:
        head = self._heads.get(mailbox)
        if head is None:
            message = self._message
            originals = self._originals.get(mailbox, ()) if self._originals else ()
            head = self._heads[mailbox] = mbox.head(message.time, message.sender, mailbox, message.trace, originals)
        return head

    def pieces(self, entry: HeldEntry) -> Iterator[bytes]:
        """The octets of one entry, the newlines before it included."""
        start = b"\n" * entry.lead + self.head(entry.mailbox)
        for piece in self._read():
            # The first one with what stands before it: a small entry is one write.
            yield start + piece
            start = b""

    def mark(self) -> bytes:
        """The line of the trace that names the delivery, by which an entry is known in an edited mailbox."""
        return trace.mark(self._message.trace, self._message.delivery)

    def _read(self) -> list[bytes] | Iterator[bytes]:
        if self._text is None:
            read = mbox.text(self._journal.pieces(self._message))
            if self._message.staged + len(self._message.data) > HELD:
                return read
            self._text = list(read)
        return self._text


class _Counted:
    def __init__(self) -> None:
        self.come = 0
        self.length = 0
        self.text = mbox.Text()

    def add(self, data: bytes) -> None:
        self.come += len(data)
        self.length += len(self.text.feed(data))


class Lengths:
    """Messages under way: octets that have come, and that they will be in a mailbox.

    Pieces count in order; what is not known of a message (the store was restarted in the middle of it, say) is None,
    and then its text has to be read.
    """

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
