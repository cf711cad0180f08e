"""The feed: conversations, live, for every subscriber; wire/SPEC.md ("The feed") is its contract.

Gives: a `Feed`, an XPUB socket, which knows whether anybody listens: `watched` is false while nobody does, and then
nothing is to be told.
Fails: never once it is made: `open_feed` logs an endpoint that cannot be bound and gives None, for mail is worth more
than watching it. What a subscriber sends that is no subscription is dropped.
Limits: `_WAITING` events wait for each watcher; a slower one loses events, which it sees by their numbers.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

import zmq

from runtime.bus import open_socket
from runtime.logs import rfc3339
from runtime.telling import members, plain

log = logging.getLogger(__name__)

# What each event begins with, and its version: a watcher of another one gets nothing. The blank ends the version.
TOPIC = b"correio-feed/1 "
# Some 400 octets each: a burst of 100 mails, and less than a megabyte of memory for a watcher that sleeps.
_WAITING = 2000
# Words of subscribers before the loop's other work is served.
_TURN = 100
# A subscription is its topic and one octet; nobody has more to say here.
_MOST_SAID = 1024


class Feed:
    """Events out to subscribers, on the running loop.

    :param socket: an XPUB, bound; the feed closes it.
    :param wall: the wall clock, in seconds since the epoch.
    """

    def __init__(self, socket: zmq.Socket[bytes], wall: Callable[[], float] = time.time) -> None:
        # Called whenever `watched` has changed.
        self.on_change: Callable[[], None] = lambda: None
        self._socket = socket
        self._wall = wall
        # Numbers count from 1 in each process: with this, a new one is told from a gap.
        self._instance = secrets.token_hex(4)
        self._seq = 0
        self._topics: set[bytes] = set()
        self._loop = asyncio.get_running_loop()
        self._look_due = False
        self._fd = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._look)
        self._look_soon()

    @property
    def watched(self) -> bool:
        """Whether anybody listens."""
        return bool(self._topics)

    def tell(self, fields: str) -> None:
        """Something has happened. Call it only while `watched`.

        :param fields: `event` and more, as `members` has them; SPEC.md says which event has which.
        """
        self._seq += 1
        head = members(seq=self._seq, gateway=self._instance, time=rfc3339(self._wall()))
        # Never blocks: an XPUB drops what a subscriber has no room for. One frame: libzmq 4.3 ends the process by an
        # assertion where a socket closes while a slow subscriber has got only some frames of a message.
        self._socket.send(TOPIC + plain(f"{{{head},{fields}}}").encode(), zmq.NOBLOCK)
        # The FD is edge-triggered, and a send may have swallowed its edge.
        self._look_soon()

    def beat(self) -> None:
        """Call about once a second: by it a watcher sees that events are missing even when no other follows."""
        if self._topics:
            self.tell(members(event="beat"))

    def close(self, linger: int = 200) -> None:
        """Send what waits, for at most `linger` milliseconds, and leave the loop."""
        self._loop.remove_reader(self._fd)
        self._topics.clear()
        self.on_change()
        self._socket.close(linger=linger)

    def _look_soon(self) -> None:
        if not self._look_due:
            self._look_due = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Take what subscribers say: an octet, 1 to begin and 0 to end, then the topic (zmq_socket(3), ZMQ_XPUB)."""
        self._look_due = False
        for _ in range(_TURN):
            if self._socket.closed:
                return
            try:
                said = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            # What could match our topic; all else hears nothing, so nobody has to speak for it.
            if TOPIC.startswith(said[1:]):
                (self._topics.add if said[:1] == b"\1" else self._topics.discard)(said[1:])
                self.on_change()
                # So that who has come knows at once that it is heard, and from which number on.
                self.beat()
        self._look_soon()


def open_feed(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Feed | None:
    """A feed at this endpoint; None where it cannot be bound, or is empty."""
    if not endpoint:
        return None
    socket = open_socket(context, zmq.XPUB)
    socket.set_hwm(_WAITING)
    socket.setsockopt(zmq.MAXMSGSIZE, _MOST_SAID)
    # Tell of each subscriber, not of each topic alone.
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        log.error("! there is no feed: cannot bind %s: %s", endpoint, zmq.strerror(error.errno or 0))  # noqa: TRY400
        return None
    return Feed(socket)
