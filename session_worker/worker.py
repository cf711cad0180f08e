"""A session worker's life: it connects to gateways and the store, says that it is alive, and leaves in order.

Heartbeats go out from the loop that serves the steps (`service.py`), so one that goes out says that the loop turns.

Fails: a bad endpoint at start ends the process, and so does a step that is stuck (`runtime/process.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Iterator

import zmq
from prometheus_client.core import Metric

from runtime import counted, logs
from runtime.bus import open_socket
from runtime.telling import EventLog
from runtime.vitals import Vitals
from session_worker.config import WorkerSettings
from session_worker.metrics import Counts, families, figures
from session_worker.service import Service
from wire.messages import WorkerGone
from wire.records import replace

log = logging.getLogger(__name__)

# wire/SPEC.md: a heartbeat every 400 ms, three missed and the peer is gone.
HEARTBEAT_SECONDS = 0.4
GONE_SECONDS = 3 * HEARTBEAT_SECONDS
# A peer whose host vanished says nothing at all; ZMTP heartbeats let the socket notice and connect anew.
_ZMTP_PING_MS = 1000
_ZMTP_TIMEOUT_MS = 3000


class Worker:
    """One session worker on the running loop; `run` returns after `stop` was called and its steps are done."""

    def __init__(
        self, settings: WorkerSettings, context: zmq.Context[zmq.Socket[bytes]], events: EventLog | None = None
    ) -> None:
        """Connect to the gateways and the store.

        :param events: where each delivery is logged; None: nowhere.
        :raises ConnectionError: for an endpoint that ZeroMQ does not take.
        """
        self.counts = Counts()
        self.vitals = Vitals("session_worker", settings.ready_file)
        self._settings = settings
        self._name = uuid.uuid4().hex
        if events is not None:
            events.soon = asyncio.get_running_loop().call_soon
        self._stopping = asyncio.Event()
        policy = replace(settings.policy(), worker=f"{os.getpid()}@{os.uname().nodename}")
        sockets = _connect(context, self._name.encode(), [settings.store_endpoint, *settings.gateways()])
        self.service = Service(policy, sockets, self.counts, settings.store_seconds, events)

    def stop(self) -> None:
        """Take no new step, finish those under way, then leave. To be called on the loop."""
        self.service.draining = True
        self._stopping.set()

    def families(self) -> Iterator[Metric]:
        """All it counts, for another thread."""
        service = self.service
        dropped = {
            "malformed": service.store.rejected + sum(gateway.rejected for gateway in service.gateways),
            "senseless": service.unexpected,
            "late_answer": service.calls.unexpected,
            "bad_state": service.bad_states,
        }
        return families(self.counts, self.vitals.figures, dropped)

    async def run(self) -> None:
        """Serve until stopped."""
        beating = asyncio.create_task(self._beat())
        log.info(
            "serving %s, gateways %s, store %s",
            self._settings.domain,
            ", ".join(self._settings.gateways()),
            self._settings.store_endpoint,
            # The gateway knows it by this name.
            extra={"worker": self._name[:8]},
        )
        running = self.service.running
        try:
            await self._stopping.wait()
            log.info("draining: %s under way", counted(len(running), "step"))
            self.service.say_alive()
            await self._drained()
        finally:
            beating.cancel()
            self.vitals.leave()
            for gateway in self.service.gateways:
                gateway.send(WorkerGone())
            self.close()
        log.info("stopped: %s unfinished", counted(len(running), "step"))

    def close(self) -> None:
        """Send what waits for the gateways, and speak to nobody more."""
        for gateway in self.service.gateways:
            gateway.close()
        self.service.store.close(linger=0)

    async def _drained(self) -> None:
        if self.service.running:
            try:
                async with asyncio.timeout(self._settings.shutdown_seconds):
                    await self.service.idle.wait()
            except TimeoutError:
                log.warning("steps take over %g s to finish: left to another worker", self._settings.shutdown_seconds)

    async def _beat(self) -> None:
        while True:
            try:
                self._tick()
            except Exception:  # a heartbeat that ends would make a silent worker of a sound one
                log.exception("! the heartbeat failed")
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def _tick(self) -> None:
        service = self.service
        service.say_alive()
        service.ping_store()
        service.give_up()
        heard = service.clock() - service.store_heard < GONE_SECONDS
        why_not = "it is draining" if service.draining else "the store does not answer"
        self.vitals.beat(heard and not service.draining, figures(self.counts, len(service.running)), why_not)
        logs.catch_up()


def _connect(
    context: zmq.Context[zmq.Socket[bytes]], identity: bytes, endpoints: list[str]
) -> list[zmq.Socket[bytes]]:
    sockets = []
    for endpoint in endpoints:
        socket = open_socket(context, zmq.DEALER, identity)
        # Without IMMEDIATE, heartbeats and questions would pile up for a peer that is away, and all reach it at once.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _ZMTP_PING_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _ZMTP_TIMEOUT_MS)
        sockets.append(socket)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            for opened in sockets:
                opened.close()
            raise ConnectionError(f"cannot connect to {endpoint}: {zmq.strerror(error.errno or 0)}") from None
    return sockets
