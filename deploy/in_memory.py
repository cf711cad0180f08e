"""The whole server in one object, without a socket, a file or a clock: what a client sends goes in, replies come out.

    server = InMemory(["ana@correio.localhost"])
    client = server.connect()
    replies = client.say(b"HELO example.org\\r\\n")

It is put together of the parts that run as processes: the gateway's connections and dispatcher, a worker, the bus and
its frames; only the store is another, a few dictionaries (`server.mailboxes`). So it is here, where a stack is put
together of processes or containers too. `say` returns when nobody has anything to do any more. Time begins with BEGIN
and passes by `wait` alone: what is held back on cue, or ends because a client is silent, is waited for there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

import zmq

from gateway.clients.crowd import Admission, Crowd
from gateway.server import connections
from gateway.telling.conversation import Conversation
from gateway.telling.metrics import GatewayCounts
from gateway.workers.attendance import Attendance
from gateway.workers.dispatcher import Dispatcher
from gateway.workers.poison import PoisonCabinet
from mail import mbox
from mailbox_store.users.directory import ADDRESS_HOLDS, WRITABLE_HOLDS
from mailbox_store.users.parsing import parse_users
from runtime import counted
from runtime.bus import Bus
from runtime.lists import Frames, ListLoop, ListSocket
from runtime.telling import EventLog
from session_worker.dialogue.turn import Policy
from session_worker.metrics import Counts
from session_worker.service import Service
from wire.codec import decode, encode
from wire.messages import Answer, Ask, Check, Deliver, Discard, Lookup, Message, Question, Stage
from wire.outcomes import TROUBLE, Delivered, Discarded, Failed, Found, Said, Staged, Writable
from wire.records import replace

# Mon Nov 23 07:05:55 2026 UTC, in seconds of Unix time.
BEGIN = 1_795_417_555.0
_WORKER = b"worker"
_MOST_CONNECTIONS = 10_000
_IDLE_SECONDS = 300.0
GATEWAY, SESSION_WORKER = "gateway", "session_worker"


class MemoryStore:
    """Users as in users.txt, and `mailboxes`: of each that has got mail, the file's octets.

    :param domain: the server's own.
    """

    def __init__(self, users: Iterable[str], domain: str = "correio.localhost") -> None:
        self.users = parse_users("\n".join(users).encode(), "users.txt", domain)
        self.mailboxes: dict[str, bytes] = {}
        # Of messages that are not whole yet: delivery id → offset → piece.
        self.staged: dict[str, dict[int, bytes]] = {}
        self._delivered: set[str] = set()

    def answer(self, question: Question) -> Said | None:
        """What the store says; None: nothing, and the worker gives up."""
        match question:
            case Lookup(local, domain):
                outcome = self.users.lookup(local, domain)
                if not isinstance(outcome, Found):
                    return outcome
                return replace(outcome, holds=ADDRESS_HOLDS if domain else 0, writable_for=WRITABLE_HOLDS)
            case Check():
                return Writable(holds=WRITABLE_HOLDS)
            case Stage(delivery, offset, data):
                pieces = self.staged.setdefault(delivery, {})
                pieces[offset] = data
                return Staged(sum(map(len, pieces.values())))
            case Discard(delivery):
                self.staged.pop(delivery, None)
                return Discarded()
            case Deliver():
                return self._deliver(question)

    def _deliver(self, mail: Deliver) -> Said:
        if mail.delivery in self._delivered:
            return Delivered(repeat=True)
        pieces = self.staged.pop(mail.delivery, {})
        text = [pieces[offset] for offset in sorted(pieces)]
        if sum(map(len, text)) != mail.staged:
            return Failed(TROUBLE, f"staged are {counted(sum(map(len, text)), 'octet')}, not {mail.staged}")
        self._delivered.add(mail.delivery)
        for mailbox in mail.mailboxes:
            originals = [address for place, address in mail.originals if mail.mailboxes[place] == mailbox]
            head = mbox.head(mail.time, mail.sender, mailbox, mail.trace, originals)
            entry = head + b"".join(mbox.text([*text, mail.data]))
            self.mailboxes[mailbox] = self.mailboxes.get(mailbox, b"") + entry
        return Delivered(repeat=False)


class Caller:
    """A client that is connected. `said`: all that it was told; `closed`: the server, or the client, has closed.

    It is a transport to the server's connection, which writes to it what a socket would carry.
    """

    def __init__(self, server: InMemory, connection: asyncio.BufferedProtocol, address: str) -> None:
        self.said = b""
        self.closed = False
        self._server = server
        self._connection = connection
        self._address = address
        self._reading = True
        self._gone = False

    def say(self, octets: bytes) -> bytes:
        """Send them; gives what was said since the last call, by the time that nothing is left to do."""
        said = len(self.said)
        while octets and not self.closed:
            octets = self.send(octets)
            if octets or not self._reading:
                self._server.settle()
        self._server.settle()
        return self.said[said:]

    def send(self, octets: bytes) -> bytes:
        """Send what the connection reads at a time, which is served when the server settles; gives the rest."""
        buffer = cast(memoryview, self._connection.get_buffer(-1))
        taken = min(len(octets), len(buffer))
        buffer[:taken] = octets[:taken]
        self._connection.buffer_updated(taken)
        return octets[taken:]

    def leave(self) -> None:
        """Close the connection."""
        self._connection.eof_received()
        self._server.settle()
        self.closed = True

    # ------------------------------------------------------------ what a connection does with its transport

    def write(self, octets: bytes) -> None:
        self.said += octets

    def write_eof(self) -> None:
        # What the server says is over, so the client has nothing to say either.
        self.closed = True
        self._server.loops[GATEWAY].call_soon(self._connection.eof_received)

    def close(self) -> None:
        self.closed = True
        if not self._gone:
            self._gone = True
            self._server.loops[GATEWAY].call_soon(self._connection.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self._gone

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return self._address, 1


class MemoryWorker:
    """A worker between two sockets of lists."""

    def __init__(self, policy: Policy, events: EventLog | None) -> None:
        self.loop = ListLoop()
        self.to_store, self.to_gateway = ListSocket(zmq.DEALER), ListSocket(zmq.DEALER)
        with self.loop.running():
            # Who does not answer at once never does: nothing is waited for.
            sockets = cast(Any, [self.to_store, self.to_gateway])
            self.service = Service(policy, sockets, Counts(), 0.0, events, self.loop.time)


class InMemory:
    """The server, for any number of clients.

    :param users: the lines of users.txt.
    :param policy: what decides replies; the default is that of the default settings.
    :param store: what answers for the mailbox store.
    :param events: where the gateway and the worker log conversations and deliveries; empty: nowhere.
    """

    def __init__(
        self,
        users: Iterable[str],
        policy: Policy | None = None,
        store: MemoryStore | None = None,
        events: Mapping[str, EventLog] = MappingProxyType({}),
    ) -> None:
        policy = policy or Policy()
        self.store = store or MemoryStore(users, policy.domain)
        self.counts = GatewayCounts()
        self.events = events
        self.worker = MemoryWorker(policy, events.get(SESSION_WORKER))
        self.loops = {GATEWAY: ListLoop(), SESSION_WORKER: self.worker.loop}
        for name, loop in self.loops.items():
            if name in events:
                events[name].soon = loop.call_soon
        self._router = ListSocket(zmq.ROUTER)
        with self.loops[GATEWAY].running():
            self._connect = self._gateway(policy.domain)
        with self.worker.loop.running():
            self.worker.service.say_alive()
        self.work(self.worker, [])
        self.settle()

    def _gateway(self, domain: str) -> Callable[[], asyncio.BufferedProtocol]:
        now = self.loops[GATEWAY].time
        dispatcher = Dispatcher(self.counts, now)
        attendance = Attendance(dispatcher, PoisonCabinet(None), 0.0)
        # The worker never leaves.
        attendance.close()
        bus = Bus(cast(Any, self._router), dispatcher.on_message, attendance.on_unreachable)
        dispatcher.send = bus.send
        crowd = Crowd(Admission(_MOST_CONNECTIONS, 0), self.counts)
        conversation = Conversation(self.events.get(GATEWAY))
        return connections(crowd, dispatcher, conversation, self.counts, domain, _IDLE_SECONDS, lambda: BEGIN + now())

    @property
    def mailboxes(self) -> dict[str, bytes]:
        """The octets of each mailbox that has got mail."""
        return self.store.mailboxes

    def connect(self, address: str = "127.0.0.1") -> Caller:
        """A client of that address, which has been greeted."""
        with self.loops[GATEWAY].running():
            connection = self._connect()
            caller = Caller(self, connection, address)
            connection.connection_made(cast(asyncio.Transport, caller))
        self.settle()
        return caller

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due in it happen."""
        end = self.loops[GATEWAY].now + seconds
        while (due := min(loop.next() for loop in self.loops.values())) <= end:
            self._set_clock(due)
            self.work(self.worker, [])
            self.settle()
        self._set_clock(end)

    def _set_clock(self, now: float) -> None:
        for loop in self.loops.values():
            loop.now = now

    def settle(self) -> None:
        """Let everybody work until nobody has anything to do."""
        while True:
            self.turn(GATEWAY, self.loops[GATEWAY])
            if asked := [frames for _worker, *frames in self._router.taken()]:
                self.work(self.worker, asked)
            answers = self.worker.to_gateway.taken()
            if not answers and not self.loops[GATEWAY].is_due:
                return
            self._router.inbox.extend([_WORKER, *frames] for frames in answers)

    # ------------------------------------------------------------ for those who look at a part, or make it another

    def turn(self, service: str, loop: ListLoop) -> None:  # noqa: ARG002  # for who wants to know whose turn it is
        """A turn of a service's loop."""
        loop.turn()

    def work(self, worker: MemoryWorker, asked: list[Frames]) -> None:
        """Have a worker do what the gateway has asked for; its answers are in `worker.to_gateway` then."""
        worker.to_gateway.inbox.extend(asked)
        while True:
            self.turn(SESSION_WORKER, worker.loop)
            if questions := worker.to_store.taken():
                worker.to_store.inbox.extend(self.ask_store(questions))
            elif worker.service.running:
                with worker.loop.running():
                    worker.service.give_up()
            else:
                return

    def ask_store(self, asked: list[Frames]) -> list[Frames]:
        """What the store says to what a worker has sent."""
        asks = [each for frames in asked for each in decode(frames).messages if isinstance(each, Ask)]
        said = [(ask.request, self.store.answer(ask.question)) for ask in asks]
        answers: list[Message] = [Answer(request, outcome) for request, outcome in said if outcome is not None]
        return [encode(answers)] if answers else []
