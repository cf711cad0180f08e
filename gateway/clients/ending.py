"""How one connection ends: in silence, with a last reply that its client has time to read, or at once.

Gives: an `Ending` for each connection, which knows whether it is still served and why it ended, and has its only
timer. Closing a socket with unread input would make the kernel send a reset, which takes the last reply from the
client. So after the replies and the end of stream, for LINGER seconds what still comes is read and dropped.
Fails: never; a client that neither reads nor closes is cut off.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.clients.room import Flow
from gateway.telling.conversation import Conversation
from gateway.telling.farewells import Farewell
from gateway.telling.metrics import GatewayCounts
from gateway.workers.dispatcher import Progress

# How long, in seconds, a client may take to read the last reply and close: a few round trips on a bad line.
LINGER = 2.0
# One that goes on reading a long reply gets as many times LINGER.
_LINGERS = 15


class Ended(Protocol):
    """A connection, as its ending sees it."""

    def drop_input(self) -> None:
        """Nothing more of what the client has sent or will send is used."""


class Writer(Protocol):
    """What has the replies that are not written yet, for each connection."""

    owed: dict[asyncio.Transport, bytes]

    def owe(self, transport: asyncio.Transport, replies: bytes) -> None:
        """Have this written soon."""

    def write(self, transport: asyncio.Transport) -> None:
        """Write at once what is owed to this client."""


class Ending:
    """Of one connection. `open`: its client is served. `last_sign`: when it last sent something, or was answered.

    :param domain: the server's, for farewells.
    :param idle_seconds: how long a client may be silent.
    """

    __slots__ = (
        "_connection", "_conversation", "_counts", "_domain", "_flow", "_idle", "_lingers", "_outbox", "_progress",
        "_timer", "_transport", "_unsent", "_why", "last_sign", "loop", "open",
    )  # fmt: skip

    def __init__(
        self, connection: Ended, progress: Progress, flow: Flow, outbox: Writer, conversation: Conversation,
        counts: GatewayCounts, domain: str, idle_seconds: float,
    ) -> None:  # fmt: skip
        self.open = True
        self.loop = asyncio.get_running_loop()
        self._connection = connection
        self._progress = progress
        self._flow = flow
        self._outbox = outbox
        self._conversation = conversation
        self._counts = counts
        self._domain = domain
        self._idle = idle_seconds
        self._why = "the client left"

    def watch(self, transport: asyncio.Transport) -> None:
        """The connection is there: from now on its client's silence is measured."""
        self._transport = transport
        self.last_sign = self.loop.time()
        self._timer = self.loop.call_later(self._idle, self._look_at_clock)

    def say(self, replies: bytes) -> None:
        """What the gateway says by itself."""
        self._conversation.said(self._progress.id, self._progress.client.address, replies)
        self._outbox.owe(self._transport, replies)

    def farewell(self, farewell: Farewell) -> None:
        """Say why the session cannot go on, and close."""
        self._counts.farewells[farewell] += 1
        self.say(farewell.reply(self._domain))
        self.close(farewell.name.lower().replace("_", " "))

    def close(self, why: str) -> None:
        """Write what is owed and close, with time for the client to read it."""
        self._outbox.write(self._transport)
        self._connection.drop_input()
        self.open = False
        self._why = why
        self._timer.cancel()
        if self._flow.eof or self._transport.is_closing():
            # It closes once the client has read what was said, and that may be never.
            self._transport.close()
        else:
            self._transport.write_eof()
            self._flow.read_on()
        self._unsent = self._transport.get_write_buffer_size()
        self._lingers = 1
        self._timer = self.loop.call_later(LINGER, self._linger)

    def abort(self, why: str) -> None:
        """Close at once."""
        if self.open:
            self._why = why
        # Nothing may be written to a transport that is closed, and it is before `connection_lost` comes.
        self._outbox.owed.pop(self._transport, None)
        self._transport.abort()

    def over(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self.open and exc is not None:
            self._why = f"the connection broke: {exc}"
        self.open = False
        self._timer.cancel()
        self._outbox.owed.pop(self._transport, None)
        self._conversation.closed(self._progress.id, self._progress.client.address, self._why)

    def _look_at_clock(self) -> None:
        """The idle timer ran out; octets that came since it was set only moved the time it is compared with."""
        servers_turn = self._progress.step is not None or self._flow.waits
        silent = 0.0 if servers_turn else self.loop.time() - self.last_sign
        if silent < self._idle:
            self._timer = self.loop.call_later(self._idle - silent, self._look_at_clock)
        elif self._flow.unread:
            self.abort("the client does not read")
        else:
            self.farewell(Farewell.IDLE)

    def _linger(self) -> None:
        unsent, before = self._transport.get_write_buffer_size(), self._unsent
        if unsent == 0 or unsent >= before or self._lingers == _LINGERS:
            self._transport.abort()
            return
        self._unsent = unsent
        self._lingers += 1
        self._timer = self.loop.call_later(LINGER, self._linger)
