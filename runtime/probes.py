"""A service's numbers and signs of life over HTTP, for Prometheus and for supervisors: setting METRICS.

    /metrics   200, the numbers
    /livez     200 while the loop that does the work turns; else 503 and why. A supervisor restarts what is not alive
    /readyz    200 while the service can do its work; else 503 and why. Nobody is to be restarted for that

Gives: `Probes`, a thread with a small event loop of its own: it answers while the service's loop is busy or stuck.
Fails: at start with `ProbesError` where the port cannot be had; later never. Numbers that cannot be made are a 500
and a log line.
Limits: whoever reaches the port may read the numbers; there is no mail and no address in them. `_AT_ONCE` connections
are served at a time, `_SECONDS` each in all, one request each, begun `_PAUSE` apart; the system keeps `_BACKLOG` more
waiting. So neither a slow client nor a hundred quick ones take more than a small part of a processor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from runtime.settings import endpoint
from runtime.vitals import Vitals

log = logging.getLogger(__name__)

_AT_ONCE = 16
_SECONDS = 5.0
_PAUSE = 0.1
_BACKLOG = 64
_MAX_HEAD = 8192
# How long to wait after the system refused a connection: its descriptors are used up, most likely.
_REFUSED_SECONDS = 1.0
_TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

# An Accept header to the text of all numbers, and its content type.
Render = Callable[[str], tuple[bytes, str]]


class ProbesError(Exception):
    """The port cannot be had; the text is the line that a person needs."""


class Probes:
    """Answers on one address until it is closed.

    :param metrics: the setting METRICS; empty: nothing is opened.
    :param vitals: the signs of life.
    :param render: makes the numbers, in this object's thread.
    :raises ProbesError: where it cannot listen.
    """

    def __init__(self, metrics: str, vitals: Vitals, render: Render) -> None:
        self.port = 0
        self._vitals = vitals
        self._render = render
        self._thread: threading.Thread | None = None
        if not metrics:
            return
        self._listening = _listen(metrics)
        self.port = self._listening.getsockname()[1]
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)
        self._thread.start()
        self._begun.wait()
        log.info("numbers and signs of life on http://%s/metrics, /livez, /readyz", metrics)

    def close(self) -> None:
        """Answer no more."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    # ------------------------------------------------------------ in the thread

    def _run(self) -> None:
        # Not uvloop's: nothing here has to be quick, and this one can be had in a thread without further ado.
        with self._listening, asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        accepting = self._loop.create_task(self._accept())
        self._begun.set()
        await self._stop.wait()
        accepting.cancel()

    async def _accept(self) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as answering:
            while True:
                await slots.acquire()
                await self._somebody()
                try:
                    connection, _ = self._listening.accept()
                except OSError as error:
                    log.warning("probes: %s", error)
                    slots.release()
                    await asyncio.sleep(_REFUSED_SECONDS)
                    continue
                answering.create_task(self._answer(connection)).add_done_callback(partial(_end, connection, slots))
                await asyncio.sleep(_PAUSE)

    async def _somebody(self) -> None:
        """Wait until somebody connects. The loop's own `sock_accept` can lose a connection when it is cancelled."""
        here = asyncio.Event()
        self._loop.add_reader(self._listening, here.set)
        try:
            await here.wait()
        finally:
            self._loop.remove_reader(self._listening)

    async def _answer(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # a TimeoutError is one
            async with asyncio.timeout(_SECONDS):
                head = await self._head(connection)
                if head:
                    await self._loop.sock_sendall(connection, self._response(head))
                    connection.shutdown(socket.SHUT_WR)

    async def _head(self, connection: socket.socket) -> str:
        """The request without a body; empty where it does not end, or is too long."""
        head = b""
        while b"\r\n\r\n" not in head and b"\n\n" not in head:
            octets = await self._loop.sock_recv(connection, _MAX_HEAD)
            head += octets
            if not octets or len(head) > _MAX_HEAD:
                return ""
        return head.decode("latin-1")

    def _response(self, head: str) -> bytes:
        # RFC 9112 section 3: request-line = method SP request-target SP HTTP-version
        lines = head.splitlines()
        method, _, rest = lines[0].partition(" ")
        target, _, version = rest.partition(" ")
        if not version.startswith("HTTP/1."):
            return _http(400, b"this is no HTTP/1.1 request\n")
        if method not in ("GET", "HEAD"):
            return _http(405, b"GET and HEAD are all there is\n", extra="Allow: GET, HEAD\r\n")
        fields = (line.partition(":") for line in lines[1:])
        accept = next((value.strip() for name, _, value in fields if name.lower() == "accept"), "")
        status, body, content_type = self._page(target.partition("?")[0], accept)
        return _http(status, body, content_type, with_body=method == "GET")

    def _page(self, path: str, accept: str) -> tuple[int, bytes, str]:
        vitals = self._vitals
        if path == "/metrics":
            try:
                return 200, *self._render(accept)
            except Exception:
                log.exception("! the numbers could not be made")
                return 500, b"the numbers could not be made; the log says why\n", _TEXT
        stuck = "" if vitals.alive else "the loop stands still"
        if path == "/livez":
            why_not = stuck
        elif path == "/readyz":
            why_not = stuck or vitals.why_not
        else:
            return 404, b"there is /metrics, /livez and /readyz\n", _TEXT
        return (503, f"{why_not}\n".encode(), _TEXT) if why_not else (200, b"yes\n", _TEXT)


def _end(connection: socket.socket, slots: asyncio.Semaphore, _: asyncio.Task[None]) -> None:
    connection.close()
    slots.release()


def _listen(metrics: str) -> socket.socket:
    host, port = endpoint(metrics)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # create_server adds the address to the text, which is here already.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise ProbesError(f"METRICS={metrics}: cannot listen there: {reason}") from None
    listening.setblocking(False)
    return listening


def _http(status: int, body: bytes, content_type: str = _TEXT, *, extra: str = "", with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{extra}Connection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
