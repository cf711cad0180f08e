"""A ZeroMQ socket on the asyncio loop that speaks the wire contract.

Gives: messages out of frames. What is sent to a peer in one turn of the loop is one ZeroMQ message, or a few where it
is much.
Fails: frames that do not fit the contract are counted in `rejected`, logged and dropped; a handler that raises is
logged, and the loop goes on. Messages to a peer that is not there go to `on_unreachable`, and that some peer of a
ROUTER has gone is told at once.
Limits: a turn receives at most `_TURN` batches, and for about `_TURN_SECONDS`, before the loop's other work is
served: timers, and with them heartbeats and a watchdog's food.

The socket's FD sits in the event loop and receives are non-blocking, which costs a fifth of pyzmq's own asyncio
sockets. That FD is edge-triggered (zmq_getsockopt, ZMQ_FD): it tells only of changes, so a read goes on until
EAGAIN, and a send looks again, for it may have swallowed the change.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import zmq

from wire.codec import decode, encode
from wire.limits import MAX_BATCH, MAX_ENVELOPE
from wire.messages import Message

log = logging.getLogger(__name__)

# The peer's routing id on a ROUTER; on a DEALER there is one peer, and it is b"".
Peer = bytes
_TURN = 100
# Looked at after every few batches. One of 16 steps of 128 lines each takes a worker up to 0.1 s: a hundred of them
# would take longer than it may stand still.
_TURN_SECONDS = 0.05
_FEW = 4
# So many messages for a peer are sent before the turn ends: it works on them while this side goes on.
_ENOUGH = 16
# Of a flood of bad frames this many are told in full between two summaries.
_TOLD_REJECTS = 20


def open_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, identity: bytes = b"") -> zmq.Socket[bytes]:
    """A socket with this project's options, neither bound nor connected yet.

    :param kind: zmq.ROUTER or zmq.DEALER.
    :param identity: a DEALER's routing id, which its ROUTER sees; unique for each process.
    """
    socket = context.socket(kind)
    # What is under way is bounded by octets (`wire.limits.IN_FLIGHT`), not by the socket: a mark would drop some.
    socket.set_hwm(0)
    socket.setsockopt(zmq.LINGER, 0)
    # A frame over this ends the connection of the peer that sent it; ours are below it by the contract.
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_ENVELOPE)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    if kind == zmq.ROUTER:
        # Without MANDATORY a message to a peer that is gone vanishes in silence.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # A peer that reconnects before its old connection was missed takes its name over.
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    if identity:
        socket.setsockopt(zmq.IDENTITY, identity)
    return socket


class Bus:
    """One ROUTER or DEALER socket, with the messages that wait to go out in this turn of the loop.

    :param on_unreachable: called with what could not be sent to its peer.
    :param on_departure: called once for any number of connections that ended together. ZeroMQ does not tell whose
        they were; who needs to know sends something to each peer.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_message: Callable[[Peer, Message], None],
        on_unreachable: Callable[[Peer, list[Message]], None] | None = None,
        on_departure: Callable[[], None] | None = None,
    ) -> None:
        self.rejected = 0
        self._socket = socket
        self._routed = socket.getsockopt(zmq.TYPE) == zmq.ROUTER
        self._on_message = on_message
        self._on_unreachable = on_unreachable
        self._outbox: dict[Peer, list[Message]] = {}
        self._loop = asyncio.get_running_loop()
        self._drain_due = False
        self._fd = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self._drain_soon()
        self._departures = _Departures(socket, on_departure) if on_departure is not None else None

    def send(self, message: Message, peer: Peer = b"") -> None:
        """Send with all else that goes to the same peer in this turn of the loop, or with enough of it."""
        waiting = self._outbox.get(peer)
        if waiting is None:
            if not self._outbox:
                self._loop.call_soon(self.flush)
            self._outbox[peer] = [message]
        else:
            waiting.append(message)
            if len(waiting) == _ENOUGH and self._sent(peer, waiting) is None:
                # What could not be sent waits for the rest of its turn: it is told as one.
                waiting.clear()

    def flush(self) -> None:
        """Send what waits now. Called by itself at the end of a turn; call it before closing."""
        outbox, self._outbox = self._outbox, {}
        for peer, waiting in outbox.items():
            if waiting:
                self._transmit(peer, waiting)
        if outbox:
            self._drain_soon()

    def close(self, linger: int = 500) -> None:
        """Send what waits, for at most `linger` milliseconds, and leave the loop."""
        self.flush()
        self._loop.remove_reader(self._fd)
        if self._departures is not None:
            self._departures.close()
        self._socket.close(linger=linger)

    def _transmit(self, peer: Peer, batch: list[Message]) -> None:
        error = self._sent(peer, batch)
        if error is not None:
            log.debug("bus: not sent to %r: %s", peer, error)
            if self._on_unreachable is not None:
                self._on_unreachable(peer, batch)

    def _sent(self, peer: Peer, batch: list[Message]) -> zmq.ZMQError | None:
        """Send a batch; gives what kept it from being sent.

        EHOSTUNREACH: a ROUTER without that peer. EAGAIN: a DEALER without any. ENOTSOCK: closed.
        """
        try:
            frames = encode(batch)
        except Exception:
            if len(batch) == 1:
                log.exception("! bus: a %s that cannot be sent is dropped", type(batch[0]).__name__)
                return None
            frames = []
        if len(batch) > 1 and (not frames or len(batch) > MAX_BATCH or len(frames[1]) > MAX_ENVELOPE):
            # A busy turn may gather more than one batch may hold: its receiver would refuse the whole of it. And one
            # message that cannot be put into octets must not take the others along.
            half = len(batch) // 2
            return self._sent(peer, batch[:half]) or self._sent(peer, batch[half:])
        try:
            self._socket.send_multipart([peer, *frames] if self._routed else frames, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return error
        return None

    def _drain_soon(self) -> None:
        if not self._drain_due:
            self._drain_due = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_due = False
        if self._socket.closed:
            return
        end = 0.0
        for number in range(_TURN):
            if number % _FEW == _FEW - 1:
                # Most turns end before this.
                now = time.monotonic()
                end = end or now + _TURN_SECONDS
                if now >= end:
                    break
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            peer = frames.pop(0) if self._routed else b""
            decoded = decode(frames)
            for message in decoded.messages:
                try:
                    self._on_message(peer, message)
                except Exception:
                    log.exception("bus: could not handle a %s", type(message).__name__)
            for reason in decoded.rejected:
                self._reject(peer, reason)
        self._drain_soon()

    def _reject(self, peer: Peer, reason: str) -> None:
        self.rejected += 1
        if self.rejected <= _TOLD_REJECTS or self.rejected % 1000 == 0:
            log.warning("bus: dropped from %r: %s (%d so far)", peer[:32], reason, self.rejected)


class _Departures:
    """Notices that a peer's connection has ended, which it does when its process does.

    One that is missed here is found by silence.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_departure: Callable[[], None]) -> None:
        self._socket = socket
        self._on_departure = on_departure
        self._monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._fd = int(self._monitor.getsockopt(zmq.FD))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._drain)
        # The FD is edge-triggered: what is there already makes no further event.
        self._loop.call_soon(self._drain)

    def close(self) -> None:
        """To be called before the socket is closed."""
        self._loop.remove_reader(self._fd)
        self._socket.disable_monitor()
        self._monitor.close(linger=0)

    def _drain(self) -> None:
        if self._monitor.closed:
            return
        departed = False
        while True:
            try:
                self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            departed = True
        if departed:
            self._on_departure()
