"""All clients that are connected: who may come, how much they may take together, and how they all end.

What a client that may not come is told: `telling/farewells.py`.

Gives: a `Crowd`, which each connection enters and leaves, and which takes part in an ordered shutdown: `drain`, then
`expel`, then `abort`.
Limits: its memory is a few numbers for each connection, and one for each address that is connected.
"""

from __future__ import annotations

from typing import Protocol

from gateway.clients.room import ROOM, Room
from gateway.telling.farewells import Farewell
from gateway.telling.metrics import GatewayCounts
from wire.limits import BODY_PIECE, MAX_PIECE

# Octets of the states of all sessions together, beside those of up to SMALL_STATE: a state has all recipients of a
# mail, with names, so a thousand of them take 60 KiB and, at the most, half a MiB.
_STATES = 128 * 1024 * 1024
# The room that large messages share, in octets, until their pieces cannot become smaller: two pieces for each
# connection, one that is under way and the one after it. What was taken in before others connected stays until it is
# handed on. A large piece spares round trips, of which every one of a message has to wait for the one before.
_BODY_ROOM = 16 * 1024 * 1024


class Admission:
    """Counts connections. Pure.

    :param most: connections at once, of all addresses together.
    :param most_per_address: connections at once of one address; 0 for no cap, which is right where all clients seem
        to have one address, such as behind a published container port.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._total = 0
        self._by_address: dict[str, int] = {}

    def enter(self, address: str) -> Farewell | None:
        """Admit a connection, or say why not. One that was admitted must `leave`."""
        if self._total >= self._most:
            return Farewell.TOO_MANY
        here = self._by_address.get(address, 0)
        if 0 < self._most_per_address <= here:
            return Farewell.TOO_MANY_FROM_ADDRESS
        self._total += 1
        self._by_address[address] = here + 1
        return None

    def leave(self, address: str) -> None:
        """An admitted connection has ended."""
        self._total -= 1
        here = self._by_address[address] - 1
        if here:
            self._by_address[address] = here
        else:
            del self._by_address[address]


class Endable(Protocol):
    """A connection, as the crowd sees it."""

    def advance(self) -> None:
        """End, if `Crowd.ends` says so now."""

    def abort(self, why: str) -> None:
        """End at once."""


class Crowd:
    """Those who are connected, and what they share; lives on the running loop."""

    def __init__(self, admission: Admission, counts: GatewayCounts) -> None:
        # The size of a piece of a large message, in octets as sent.
        self.piece = MAX_PIECE
        self.room = Room(ROOM)
        # Some have to end, or all: `ends` says which.
        self.draining = False
        self._expelling = False
        self._admission = admission
        self._counts = counts
        # With the address that was admitted; None: it was refused, and is being closed.
        self._clients: dict[Endable, str | None] = {}
        self._states = 0

    def __len__(self) -> int:
        """How many connections there are, those that are being closed included."""
        return len(self._clients)

    def enter(self, client: Endable, address: str) -> Farewell | None:
        """A client has connected; the farewell to say if it must end at once."""
        self._counts.connections += 1
        refusal = Farewell.SHUTDOWN if self.draining else self._admission.enter(address)
        if refusal is not None:
            self._counts.refused[refusal] += 1
        self._clients[client] = address if refusal is None else None
        self._share_room()
        return refusal

    def leave(self, client: Endable, kept: int) -> None:
        """A client has lost its connection; `kept`: the octets of state that were counted for it."""
        address = self._clients.pop(client)
        if address is not None:
            self._admission.leave(address)
        self._states -= kept
        self._share_room()

    def keep(self, more: int) -> bool:
        """Count so many octets of state more, or less; false, and nothing counted, if all together are too many."""
        if more > 0 and self._states + more > _STATES:
            return False
        self._states += more
        return True

    def ends(self, in_transaction: bool) -> bool:
        """Whether a session has to end now, for the server is being shut down."""
        return self._expelling or (self.draining and not in_transaction)

    def drain(self) -> None:
        """Let every session end as soon as no mail transaction is under way in it."""
        self.draining = True
        self._advance_all()

    def expel(self) -> None:
        """Let every session end as soon as no step of it is under way."""
        self.draining = self._expelling = True
        self._advance_all()

    def abort(self) -> None:
        """End every connection at once."""
        for client in list(self._clients):
            client.abort("the server is being shut down")

    def _share_room(self) -> None:
        self.piece = max(BODY_PIECE, min(MAX_PIECE, _BODY_ROOM // (2 * max(1, len(self._clients)))))

    def _advance_all(self) -> None:
        for client in list(self._clients):
            client.advance()
