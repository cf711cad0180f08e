"""The gateway as a service: it listens, serves until it is told to stop, and stops in order.

Gives: `serve`, which runs until `stop` is set; `__main__` sets it on SIGTERM and SIGINT.
Fails: `CannotStart` if the port or the endpoint cannot be had, and then nothing is left behind.
Limits: a shutdown takes at most `shutdown_seconds` for transactions, _STEP_SECONDS for the steps that are still under
way, and what closing connections takes.

The order of a shutdown: no new connections; sessions without a transaction are told 421, the others when theirs ends;
after `shutdown_seconds` all are told 421 as soon as no step of theirs is under way; whoever is left is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import zmq
from prometheus_client.core import Metric

from gateway.clients.connection import ClientConnection, Outbox
from gateway.clients.crowd import Admission, Crowd
from gateway.clients.ending import LINGER
from gateway.config import GatewaySettings
from gateway.telling.conversation import Conversation
from gateway.telling.feed import Feed, open_feed
from gateway.telling.metrics import GatewayCounts, families, figures
from gateway.workers.attendance import Attendance
from gateway.workers.dispatcher import Dispatcher, Progress, session_ids
from gateway.workers.poison import PoisonCabinet
from runtime import counted, logs, process
from runtime.bus import Bus, open_socket
from runtime.metrics import Exposition
from runtime.probes import Probes, ProbesError
from runtime.telling import EventLog
from runtime.vitals import Figures, Vitals

log = logging.getLogger(__name__)

# Connections that wait to be accepted: a burst of a thousand clients must not meet a refusal.
BACKLOG = 1024
# Descriptors for all that is not an admitted client: listeners, workers, clients that are being turned away.
_SPARE_DESCRIPTORS = 256
# Octets that the system may keep of a connection in each direction; it takes twice the memory (socket(7)). Left to
# itself it keeps megabytes for a client that does not read its replies, or whose input is not read because of that.
# Large messages come as fast as with four times that.
_SYSTEM_BUFFER = 64 * 1024
_BEAT = 1.0
_STEP_SECONDS = 5.0
# How often a shutdown looks whether it may go on.
_POLL = 0.02


class CannotStart(Exception):
    """The gateway cannot have what its settings name; the text says what and why."""


def connections(
    crowd: Crowd,
    dispatcher: Dispatcher,
    conversation: Conversation,
    counts: GatewayCounts,
    domain: str,
    idle_seconds: float,
    wall: Callable[[], float],
) -> Callable[[], ClientConnection]:
    """A factory of connections on the running loop, each with a session of its own.

    :param domain: the server's, for the replies that the gateway makes by itself.
    :param idle_seconds: how long a client may be silent.
    :param wall: the wall clock, in seconds since the epoch.
    """
    outbox, ids = Outbox(asyncio.get_running_loop(), counts), session_ids()

    def connect() -> ClientConnection:
        progress = Progress(next(ids), wall)
        return ClientConnection(progress, outbox, crowd, dispatcher, conversation, counts, domain, idle_seconds)

    return connect


class Gateway:
    """The parts of a running gateway.

    :param settings: as given by the environment.
    :param router: a bound ROUTER socket; the gateway closes it.
    :param feed: who is told of conversations beside the log; the gateway closes it.
    :param events: where conversations are logged; None: nowhere.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        router: zmq.Socket[bytes],
        feed: Feed | None = None,
        events: EventLog | None = None,
    ) -> None:
        self.settings = settings
        self.feed = feed
        if events is not None:
            events.soon = asyncio.get_running_loop().call_soon
        self.counts = GatewayCounts()
        self.dispatcher = Dispatcher(self.counts, time.monotonic)
        cabinet = PoisonCabinet(Path(settings.poison_dir) if settings.poison_dir else None)
        self._attendance = Attendance(self.dispatcher, cabinet, settings.no_worker_seconds)
        there = self._attendance
        self.bus = Bus(router, self.dispatcher.on_message, there.on_unreachable, there.on_departure)
        self.dispatcher.send = self.bus.send
        admission = Admission(settings.max_connections, settings.max_connections_per_address)
        self.crowd = Crowd(admission, self.counts)
        talk = Conversation(events, feed)
        self.connect = connections(
            self.crowd, self.dispatcher, talk, self.counts, settings.domain, settings.idle_seconds, time.time
        )

    def figures(self) -> Figures:
        """What it tells of itself now."""
        pool = self.dispatcher.pool
        return figures(self.counts, len(self.crowd), pool.members.taking, pool.waiting, pool.pending)

    def families(self, now: Figures) -> Iterator[Metric]:
        """The same and all it counts, for another thread.

        :param now: the latest `figures`.
        """
        return families(self.counts, now, self.bus.rejected, self.dispatcher.dropped)

    async def shut_down(self) -> None:
        """End all sessions in order, then leave the bus."""
        self.crowd.drain()
        if not await self._quiet(self.settings.shutdown_seconds):
            log.warning("still in a transaction: %s; that is the end", counted(len(self.crowd), "connection"))
            self.crowd.expel()
            if not await self._quiet(_STEP_SECONDS + LINGER):
                log.warning("cut off: %s", counted(len(self.crowd), "connection"))
                self.crowd.abort()
        self.leave_bus()

    def leave_bus(self) -> None:
        """Send what waits, and speak to workers no more."""
        self._attendance.close()
        self.bus.close()
        if self.feed is not None:
            self.feed.close()

    async def _quiet(self, seconds: float) -> bool:
        """Wait until nobody is connected and no step is under way; false if that takes too long."""
        return await _until(lambda: not (len(self.crowd) or self.dispatcher.pool.pending), seconds)


async def serve(
    settings: GatewaySettings,
    stop: asyncio.Event,
    on_listening: Callable[[int, str], None] | None = None,
    events: EventLog | None = None,
) -> None:
    """Run a gateway until `stop` is set.

    :param on_listening: called with the port and the endpoint that were bound: the system may have chosen them.
    :param events: where conversations are logged; None: nowhere.
    :raises CannotStart: if it cannot listen.
    """
    _allow_descriptors(settings.max_connections)
    # The port first: whoever has it may be another gateway, and that one's endpoint must not be taken over.
    listening = _listen(settings.bind, settings.port)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    vitals = Vitals("gateway", settings.ready_file)
    probes: Probes | None = None
    try:
        router = _bind(context, settings.gateway_endpoint)
        endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
        port = listening.getsockname()[1]
        gateway = Gateway(settings, router, open_feed(context, settings.feed_endpoint), events)
        probes = _probes(settings.metrics, gateway, vitals)
        listener = await asyncio.get_running_loop().create_server(gateway.connect, sock=listening, backlog=BACKLOG)
        process.settled()
        log.info("waiting for connections on %s:%d, for workers on %s", settings.bind, port, endpoint)
        if on_listening is not None:
            on_listening(port, endpoint)
        await _beat(stop, gateway, vitals)
        log.info("shutting down with %s", counted(len(gateway.crowd), "connection"))
        listener.close()
        await gateway.shut_down()
        log.info("stopped")
    finally:
        if probes is not None:
            probes.close()
        listening.close()
        context.destroy(linger=0)


def _probes(metrics: str, gateway: Gateway, vitals: Vitals) -> Probes:
    exposition = Exposition(vitals, lambda: gateway.families(vitals.figures))
    try:
        return Probes(metrics, vitals, exposition.render)
    except ProbesError as error:
        gateway.leave_bus()
        raise CannotStart(str(error)) from None


def _listen(bind: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        listening = socket.create_server((bind, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # create_server adds the address to the text, which is here already.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise CannotStart(f"cannot listen on {bind}:{port}: {reason}") from None
    # Connections inherit these.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_BUFFER)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SYSTEM_BUFFER)
    return listening


def _bind(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> zmq.Socket[bytes]:
    router = open_socket(context, zmq.ROUTER)
    try:
        router.bind(endpoint)
    except zmq.ZMQError as error:
        raise CannotStart(f"cannot bind {endpoint}: {zmq.strerror(error.errno or 0)}") from None
    return router


def _allow_descriptors(connections: int) -> None:
    """Raise this process's limit of open files to what the system allows, and say so if that is too little."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < connections + _SPARE_DESCRIPTORS:
        log.warning("open files are limited to %d, and MAX_CONNECTIONS=%d can need more", most, connections)


async def _beat(stop: asyncio.Event, gateway: Gateway, vitals: Vitals) -> None:
    """Show every second that the gateway is ready, which takes a worker, until it is told to stop.

    A worker that comes is seen at once: who has just got a greeting must not be told by a probe that it is not ready.
    """
    ready = False
    while not stop.is_set():
        workers = gateway.dispatcher.pool.members.taking
        if ready is not (workers > 0):
            ready = workers > 0
            if ready:
                log.info("ready, with %s", counted(workers, "worker"))
            else:
                log.warning("not ready: there is no worker")
        vitals.beat(ready, gateway.figures(), "there is no worker")
        logs.catch_up()
        if gateway.feed is not None:
            gateway.feed.beat()
        if ready:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _BEAT)
        else:
            await _until(lambda: stop.is_set() or gateway.dispatcher.pool.members.taking > 0, _BEAT)
    vitals.leave()


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; false if it does not come about in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_POLL)
    return True
