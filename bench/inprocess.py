"""The three services in one process, on sockets and loops that are lists: a message's whole way, and nothing else.

Time stands still but for the store's pauses, which are counted in turns, so every run does exactly the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import zmq

from bench.counting import Counter
from bench.generator import message
from bench.peers.base import DOMAIN, address
from gateway.clients.connection import ClientConnection
from gateway.clients.crowd import Admission, Crowd
from gateway.server import connections
from gateway.telling.conversation import Conversation
from gateway.telling.metrics import GatewayCounts
from gateway.workers.attendance import Attendance
from gateway.workers.dispatcher import Dispatcher
from gateway.workers.poison import PoisonCabinet
from mailbox_store.journal.sqlite_journal import SqliteJournal
from mailbox_store.mailboxes.files import DiskFiles
from mailbox_store.metrics import Totals
from mailbox_store.service import StoreService
from mailbox_store.store import Store
from mailbox_store.users.directory import Directory, Users
from mailbox_store.users.parsing import parse_users
from runtime.bus import Bus
from runtime.logs import open_destination
from runtime.telling import EventLog, Form, Output
from session_worker.config import WorkerSettings
from session_worker.worker import Worker
from wire.codec import encode
from wire.messages import WorkerAlive

HERE = __file__
_WORKER = b"worker"
_SIZE = 4096
# The store's checkpoint has its place once a second; a turn of its loop under load takes about this.
_TURN_SECONDS = 0.01


class ListSocket:
    """A ZeroMQ socket of two lists."""

    def __init__(self, kind: int) -> None:
        self.closed = False
        self.inbox: deque[list[bytes]] = deque()
        self.sent: list[list[bytes]] = []
        self._kind = kind

    def getsockopt(self, option: int) -> int:
        return self._kind if option == zmq.TYPE else -1

    def recv_multipart(self, _flags: int) -> list[bytes]:
        if not self.inbox:
            raise zmq.Again
        return self.inbox.popleft()

    def send_multipart(self, frames: list[bytes], _flags: int) -> None:
        self.sent.append(list(frames))

    def taken(self) -> list[list[bytes]]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def close(self, linger: int = 0) -> None:  # noqa: ARG002
        self.closed = True

    def setsockopt(self, option: int, value: object) -> None: ...

    def set_hwm(self, value: int) -> None: ...

    def bind(self, endpoint: str) -> None: ...

    def connect(self, endpoint: str) -> None: ...


class ListContext:
    """Makes the sockets, in the order in which a service asks for them."""

    def __init__(self) -> None:
        self.sockets: list[ListSocket] = []

    def socket(self, kind: int) -> ListSocket:
        self.sockets.append(ListSocket(kind))
        return self.sockets[-1]


class ListLoop:
    """An event loop in which no time passes: what is called soon is called by `turn`, timers never are."""

    def __init__(self) -> None:
        self._soon: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.readers: list[Callable[[], None]] = []

    def time(self) -> float:
        return 0.0

    def call_soon(self, callback: Callable[..., Any], *arguments: Any) -> None:
        self._soon.append((callback, arguments))

    def call_later(self, _seconds: float, _callback: Callable[..., Any], *_arguments: Any) -> ListTimer:
        return ListTimer()

    def add_reader(self, _fd: int, callback: Callable[[], None]) -> None:
        self.readers.append(callback)

    def remove_reader(self, _fd: int) -> None: ...

    def turn(self) -> None:
        """Readers first, then whatever that led to, until nothing is left."""
        for reader in self.readers:
            reader()
        while self._soon:
            callback, arguments = self._soon.popleft()
            callback(*arguments)


class ListTimer:
    def cancel(self) -> None: ...


class ListTransport:
    """A client's socket: what the server says is kept."""

    def __init__(self) -> None:
        self.said = b""

    def write(self, octets: bytes) -> None:
        self.said += octets

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("127.0.0.1", 1)


class AtOnce(Executor):
    """Does what it is given in the caller's thread, where it is counted."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments, **named))
        return future


class FixedUsers:
    """A list of users that never changes."""

    def __init__(self, count: int) -> None:
        lines = "".join(address(number) + "\n" for number in range(count))
        self.current: Users = parse_users(lines.encode(), "users.txt", DOMAIN)

    def knows(self, mailbox: str) -> bool:
        return mailbox in self.current.names


class Services:
    """Gateway, worker and store, with `sessions` clients that speak in lock-step.

    :param folder: for the journal, the mailboxes and the log.
    :param log: whether conversations and deliveries are logged, and for whom.
    """

    def __init__(self, folder: Path, sessions: int, log: Form | None = None) -> None:
        self.profile: Callable[[str], AbstractContextManager[None]] = lambda _service: nullcontext()
        self._loops = {"gateway": ListLoop(), "session_worker": ListLoop()}
        self._now = time.time()
        self._turns = 0
        self._mailboxes = folder / "mailboxes"
        self._mailboxes.mkdir()
        output = Output(open_destination(str(folder / "log"), ()), lambda _lines, _why: b"")
        self._events = {
            name: EventLog(output, name, log, lambda: int(self._now * 1e9)) if log else None
            for name in (*self._loops, "store")
        }
        for name, loop in self._loops.items():
            if events := self._events[name]:
                events.soon = loop.call_soon
        self._router = ListSocket(zmq.ROUTER)
        make = self._make_gateway()
        self._make_worker()
        self._make_store(folder, sessions)
        self._transports = [ListTransport() for _ in range(sessions)]
        self._sessions: list[ClientConnection] = []
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, self._loops["gateway"]))
        for transport in self._transports:
            session = make()
            session.connection_made(cast(asyncio.Transport, transport))
            self._sessions.append(session)

    def _make_gateway(self) -> Callable[[], ClientConnection]:
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, self._loops["gateway"]))
        counts = GatewayCounts()
        dispatcher = Dispatcher(counts, lambda: 0.0)
        attendance = Attendance(dispatcher, PoisonCabinet(None), 30.0)
        bus = Bus(cast(Any, self._router), dispatcher.on_message, attendance.on_unreachable)
        dispatcher.send = bus.send
        return connections(
            Crowd(Admission(10_000, 0), counts),
            dispatcher,
            Conversation(self._events["gateway"]),
            counts,
            "mail.example.com",
            300.0,
            lambda: self._now,
        )

    def _make_worker(self) -> None:
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, self._loops["session_worker"]))
        context = ListContext()
        Worker(WorkerSettings(), cast(Any, context), self._events["session_worker"])
        self._to_store, self._to_gateway = context.sockets
        self._router.inbox.append([_WORKER, *encode([WorkerAlive("budget", 0)])])

    def _make_store(self, folder: Path, users: int) -> None:
        files = DiskFiles(self._mailboxes)

        def now() -> int:
            return int(self._now * 1000)

        def monotonic() -> float:
            return self._turns * _TURN_SECONDS

        totals = Totals()
        directory = Directory(files, FixedUsers(users), totals)
        self._store = Store(
            SqliteJournal(folder / "journal"),
            files,
            directory,
            AtOnce(),
            now,
            monotonic,
            totals,
            self._events["store"],
        )
        self._store.recover("budget")
        context = ListContext()
        self._service = StoreService(self._store, directory, cast(Any, context), "")
        (self._from_workers,) = context.sockets

    def close(self) -> None:
        asyncio._set_running_loop(None)
        self._store.close()

    def stored(self) -> int:
        """How many messages are in the mailboxes."""
        return Counter(self._mailboxes).look()

    # ------------------------------------------------------------ what the clients do

    def greet(self) -> None:
        """Greeting and EHLO; what pipelines has its first group on the way."""
        self._settle()
        self._say(lambda _: b"EHLO bench.example\r\n", b"250 ")

    def exchange(self, pipelined: bool, sender: str = "bench") -> None:
        """One message of each session."""
        mail = f"MAIL FROM:<{sender}@{DOMAIN}>\r\n".encode()
        rcpts = [f"RCPT TO:<{address(number)}>\r\n".encode() for number in range(len(self._sessions))]
        if pipelined:
            self._say(lambda number: mail + rcpts[number] + b"DATA\r\n", b"354 ")
        else:
            self._say(lambda _: mail, b"250 ")
            self._say(lambda number: rcpts[number], b"250 ")
            self._say(lambda _: b"DATA\r\n", b"354 ")
        text = message(_SIZE)
        self._say(lambda _: text, b"250 ")

    def _say(self, line: Callable[[int], bytes], expected: bytes) -> None:
        for transport in self._transports:
            transport.said = b""
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, self._loops["gateway"]))
        for number, session in enumerate(self._sessions):
            octets = line(number)
            with self.profile("gateway"):
                session.get_buffer(-1)[: len(octets)] = octets
                session.buffer_updated(len(octets))
        self._settle()
        for transport in self._transports:
            last = transport.said[transport.said.rfind(b"\n", 0, -1) + 1 :]
            assert last.startswith(expected), transport.said

    # ------------------------------------------------------------ the services' turns

    def _settle(self) -> None:
        """Let the services talk until they have nothing to say."""
        while True:
            self._turn("gateway")
            for worker, *frames in self._router.taken():
                assert worker == _WORKER
                self._to_gateway.inbox.append(frames)
            self._turn("session_worker")
            questions, answers = self._to_store.taken(), self._to_gateway.taken()
            self._from_workers.inbox.extend([_WORKER, *frames] for frames in questions)
            self._router.inbox.extend([_WORKER, *frames] for frames in answers)
            if questions:
                self._turns += 1
                with self.profile("mailbox_store"):
                    self._service._turn()
                    self._store.tick()
            self._to_store.inbox.extend(frames for _, *frames in self._from_workers.taken())
            if not (questions or answers):
                return

    def _turn(self, service: str) -> None:
        loop = self._loops[service]
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, loop))
        with self.profile(service):
            loop.turn()
