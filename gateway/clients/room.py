"""Flow control: whether to read on from a client, and the memory that all large messages share.

Gives: a `Room`, which all share, and a `Flow` for each connection. A connection may hold READ_AHEAD octets without
asking, so commands and small messages never wait for room. To read more of a message it asks for room for one piece,
and gives the room back once a worker has done the piece.
Fails: never. A connection that finds no room waits, in the order of asking, and is not read meanwhile.
Limits: `octets` in all. While others wait, a session may fill its piece for LEASE seconds at most; then it hands on
what there is, as a shorter piece. So clients that stop in the middle of a message keep nobody waiting, and those that
wait get room as long as workers do their steps.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

from gateway.clients.framing import Framer

# What a session may hold of what its client sends without asking for room: more than PIPELINING clients send before
# they read, and most messages whole. It is seen after reading, so there may be as much again.
READ_AHEAD = 16 * 1024
# The state of a session that counts for nothing, in octets: one with a few dozen recipients.
SMALL_STATE = 4 * 1024
# What is read from a socket at a time, where there is room for it.
_AT_ONCE = 256 * 1024
# 256 pieces of 256 KiB, four times what two workers and the store have under way.
ROOM = 64 * 1024 * 1024
# For how long, in seconds, a client may fill its part while others wait: at 4 Mbit/s it sends a piece of 256 KiB.
LEASE = 0.5


class Holder(Protocol):
    """Whose flow it is: a connection."""

    def advance(self) -> None:
        """There is room to read on now."""

    def hand_on(self) -> None:
        """Others wait: let a step have what there is, and give back the rest."""


class Room:
    """Octets that are shared, and who waits for some.

    :param octets: all that there are.
    """

    def __init__(self, octets: int) -> None:
        # Octets come from a socket here; a session that has a part may take more at once.
        self.large_buffer = memoryview(bytearray(_AT_ONCE))
        self.buffer = self.large_buffer[:READ_AHEAD]
        self.free = octets
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[Flow, int] = OrderedDict()
        # Whose part is being filled, and since when; the longest is first.
        self._filling: OrderedDict[Flow, float] = OrderedDict()
        self._serve_due = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many sessions wait."""
        return len(self._waiting)

    def ask(self, flow: Flow, octets: int) -> bool:
        """Lend so many octets; where there is no room now, that is done later and told by `advance`."""
        if self.free >= octets and not self._waiting:
            self._lend(flow, octets)
            return True
        self._waiting.setdefault(flow, octets)
        if self._timer is None:
            self._timer = self._loop.call_later(LEASE, self._look)
        return False

    def waits(self, flow: Flow) -> bool:
        """Whether this one waits."""
        return flow in self._waiting

    def give_back(self, flow: Flow, octets: int) -> None:
        """Take octets back; a flow that has none to be filled is not looked at any more."""
        self.free += octets
        if not flow.octets:
            self._filling.pop(flow, None)
        if self._waiting and not self._serve_due:
            # Later: whoever gives something back is in the middle of something.
            self._serve_due = True
            self._loop.call_soon(self._serve)

    def forget(self, flow: Flow) -> None:
        """It does not want room any more."""
        self._waiting.pop(flow, None)

    # ------------------------------------------------------------ inside

    def _lend(self, flow: Flow, octets: int) -> None:
        self.free -= octets
        flow.octets = octets
        self._filling[flow] = self._loop.time()

    def _serve(self) -> None:
        self._serve_due = False
        while self._waiting:
            flow, octets = next(iter(self._waiting.items()))
            if self.free < octets:
                return
            del self._waiting[flow]
            self._lend(flow, octets)
            flow.holder.advance()

    def _look(self) -> None:
        """As long as some wait, have those hand on what they have who have had room for too long."""
        now = self._loop.time()
        while self._waiting and self._filling:
            flow, since = next(iter(self._filling.items()))
            if now - since < LEASE:
                break
            self._filling[flow] = now
            self._filling.move_to_end(flow)
            flow.holder.hand_on()
        self._timer = self._loop.call_later(LEASE / 5, self._look) if self._waiting else None


class Flow:
    """What one connection reads, and what it has of the room: `octets` to be filled, or none, and those of its step.

    `reading`: its socket is read. `eof`: its client has said that it sends no more. `unread`: replies pile up that
    the client does not read.

    :param room: what it has a part of.
    :param holder: the connection.
    """

    __slots__ = ("_room", "_transport", "eof", "holder", "in_step", "octets", "reading", "unread")

    def __init__(self, room: Room, holder: Holder) -> None:
        self._room = room
        self.holder = holder
        self.octets = 0
        self.in_step = 0
        self.reading = True
        self.eof = False
        self.unread = False

    def open(self, transport: asyncio.ReadTransport) -> None:
        """This is what is read."""
        self._transport = transport

    @property
    def waits(self) -> bool:
        """Whether it waits for room."""
        return self._room.waits(self)

    def buffer(self, held: int) -> memoryview:
        """Where to read to, for a connection that holds so much and has octets to be filled."""
        return self._room.large_buffer[: self.octets - held]

    def press_back(self, framer: Framer, piece: int) -> None:
        """Read the socket only while what it brings has room.

        :param piece: how much to ask for, to hold a piece of a message.
        """
        found = self.find_room(framer, piece)
        if found is not self.reading and not self.eof:
            self.reading = found
            if found:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def read_on(self) -> None:
        """Read whatever comes: it will not be kept."""
        if not self.reading:
            self.reading = True
            self._transport.resume_reading()

    def find_room(self, framer: Framer, piece: int) -> bool:
        """See to room for what comes next, by asking for that of a piece of a message; false while there is none."""
        held, in_message = framer.held, framer.in_message
        if self.octets and not in_message:
            # Commands came behind a message: they have to go before more is read.
            self.shrink(held)
        if self.octets or held < READ_AHEAD:
            return held < (self.octets or READ_AHEAD)
        return in_message and self._room.ask(self, piece)

    def step_begins(self, taken: int, held: int) -> None:
        """A step has taken so many octets, and so many are left."""
        self.in_step = min(taken, self.octets)
        self.octets -= self.in_step
        self.shrink(held)

    def step_ends(self) -> None:
        """The step's octets are gone."""
        self.in_step, octets = 0, self.in_step
        self._room.give_back(self, octets)

    def shrink(self, held: int) -> None:
        """Keep no more than there is to be kept."""
        kept = min(self.octets, held) if held > READ_AHEAD else 0
        self.octets, spare = kept, self.octets - kept
        self._room.give_back(self, spare)

    def close(self) -> None:
        """Nothing is read any more."""
        self._room.forget(self)
        self.shrink(0)
