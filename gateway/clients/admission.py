"""Who may connect: a cap on all connections and one on those of an address.

Gives: an `Admission` that is asked about each new connection and told about each one that ends. Pure.
Limits: its memory is one number for each address that is connected.
"""

from __future__ import annotations

from gateway.telling.farewells import Farewell


class Admission:
    """Counts connections.

    :param most: connections at once, of all addresses together.
    :param most_per_address: connections at once of one address; 0 for no cap, which is right where all clients seem
        to have one address, such as behind a published container port.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._total = 0
        self._by_address: dict[str, int] = {}

    @property
    def total(self) -> int:
        """How many connections are admitted now."""
        return self._total

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
