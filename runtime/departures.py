"""Notice at once that a peer of a bound socket has gone: its connection ends when its process does.

Gives: a call for each connection that ended. ZeroMQ does not tell whose it was; who needs to know sends something
to each peer, and a ROUTER refuses what is for one that is gone (ROUTER_MANDATORY).
Fails: never; a departure that is missed here is found by silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq


class Departures:
    """Watches one socket, on the running loop.

    :param socket: bound, or about to be.
    :param on_departure: called once for any number of connections that ended together.
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
        """Leave the loop; call it before the socket is closed."""
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
