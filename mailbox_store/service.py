"""The store's loop: drain the questions that wait, answer them as one batch, see to what is due.

One thread and one ROUTER socket. Nothing waits for a batch to fill: it is what came in while the last one was done.

Fails: frames that do not fit the contract and messages that make no sense here are counted, logged and dropped. An
answer to a worker that is gone is dropped; the worker asks again when it is back.
Limits: a batch holds at most `_TURN_ASKS` questions, about `_TURN_OCTETS` of mail, and `_TURN_COPIES` of what is for
many mailboxes, which bounds both memory and the time until the next heartbeat is answered.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import zmq

from mailbox_store.store import Store
from mailbox_store.users.directory import Directory
from runtime import counted
from runtime.bus import open_socket
from wire.codec import decode, encode
from wire.messages import Answer, Ask, Check, Deliver, Lookup, Message, Ping, Pong

log = logging.getLogger(__name__)

# Batches received in one turn: a flood of garbage must not keep the loop from its answers.
_TURN_BATCHES = 1000
_TURN_ASKS = 500
# Looked at between the workers' messages, each of which brings 2 MiB at most. A small mail waits for the batch before
# its own, which takes some 20 ms where the disk writes 200 MB/s.
_TURN_OCTETS = 4 * 1024 * 1024
# A mail to more mailboxes than a few waits for its turn, of which each has so many copies: planning them and writing
# them down takes some 40 ms. Whoever sends to a few is never behind those who send to many, and a mail to 20 hardly
# behind those to 600: it is passed by those to fewer until _PASSED times its own copies have been made, which is some
# 4 s for 1000.
_FEW = 10
_TURN_COPIES = 1000
_PASSED = 64
# How long the loop sleeps while something will be due soon, and while nothing is; signals are seen in between.
_BUSY_MS = 20
_IDLE_MS = 200
# Of a flood of bad frames this many are told in full, then each thousandth.
_TOLD_REJECTS = 20


class StoreService:
    """The store on its socket."""

    def __init__(
        self, store: Store, directory: Directory, context: zmq.Context[zmq.Socket[bytes]], endpoint: str
    ) -> None:
        """:raises zmq.ZMQError: where the endpoint cannot be bound."""
        self.rejected = 0
        self._store = store
        self._directory = directory
        self._instance = uuid.uuid4().hex
        self._stopping = False
        # Mails to many that have not had their turn: how many copies are made before each, in the order in which they
        # came; and who asks. And how many have been made.
        self._to_many: list[tuple[int, int, bytes, Ask]] = []
        self._came = count()
        self._copies = 0
        self._socket = open_socket(context, zmq.ROUTER)
        self._socket.bind(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)

    @property
    def endpoint(self) -> str:
        """Where it is bound, with the port that a wildcard became."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def stop(self) -> None:
        """Have `run` end after the batch under way. May be called from a signal handler or another thread."""
        self._stopping = True

    def run(self, each_turn: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`.

        :param each_turn: called at least every `_IDLE_MS`.
        """
        while not self._stopping:
            at_work = self._to_many or self._store.at_work
            timeout = 0 if at_work else _BUSY_MS if self._store.busy else _IDLE_MS
            if self._poller.poll(timeout) or self._to_many:
                self._turn()
            self._store.tick()
            each_turn()

    def close(self) -> None:
        """Send what waits, for half a second at most."""
        self._socket.close(linger=500)

    def _turn(self) -> None:
        asked, pongs = self._receive()
        if self._to_many:
            self._take_to_many(asked)
            for _, _, peer, _ in self._to_many:
                # It has asked something that is not answered yet, so its Ping has not come through.
                if peer in pongs:
                    pongs[peer] = Pong(self._instance)
        replies: dict[bytes, list[Message]] = {}
        writes: list[tuple[bytes, Ask]] = []
        for peer, ask in asked:
            if isinstance(ask.question, Lookup | Check):
                replies.setdefault(peer, []).append(Answer(ask.request, self._directory.answer(ask.question)))
            else:
                writes.append((peer, ask))
        if writes:
            given = self._store.write([ask for _, ask in writes])
            for (peer, ask), outcome in zip(writes, given, strict=True):
                replies.setdefault(peer, []).append(Answer(ask.request, outcome))
        # It says that all that was asked before the Ping is answered, so it comes last.
        for peer, pong in pongs.items():
            replies.setdefault(peer, []).append(pong)
        for peer, messages in replies.items():
            self._send(peer, messages)

    def _receive(self) -> tuple[list[tuple[bytes, Ask]], dict[bytes, Pong]]:
        """The questions of a turn, with who asks, and what to say to those who want to know how far this is."""
        asked: list[tuple[bytes, Ask]] = []
        pongs: dict[bytes, Pong] = {}
        octets = 0
        for _ in range(_TURN_BATCHES):
            if len(asked) >= _TURN_ASKS or octets >= _TURN_OCTETS:
                break
            try:
                peer, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            octets += sum(map(len, frames))
            decoded = decode(frames)
            for reason in decoded.rejected:
                self._reject(peer, reason)
            for message in decoded.messages:
                if isinstance(message, Ask):
                    question = message.question
                    # A slice, for len would be a call for each message.
                    if question.__class__ is Deliver and question.mailboxes[_FEW:]:
                        turn = self._copies + _PASSED * len(question.mailboxes)
                        heappush(self._to_many, (turn, next(self._came), peer, message))
                    else:
                        asked.append((peer, message))
                elif isinstance(message, Ping):
                    pongs[peer] = Pong(self._instance, message.number)
                else:
                    self._reject(peer, f"a {type(message).__name__} is not for the store")
        return asked, pongs

    def _take_to_many(self, asked: list[tuple[bytes, Ask]]) -> None:
        """Add the mails to many of which it is the turn: one at least."""
        copies = 0
        while self._to_many:
            _, _, peer, ask = self._to_many[0]
            assert isinstance(ask.question, Deliver)
            if copies and copies + len(ask.question.mailboxes) > _TURN_COPIES:
                break
            copies += len(ask.question.mailboxes)
            asked.append((peer, ask))
            heappop(self._to_many)
        self._copies += copies

    def _send(self, peer: bytes, messages: list[Message]) -> None:
        try:
            self._socket.send_multipart([peer, *encode(messages)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("! %s not sent to %r: %s", counted(len(messages), "answer"), peer, error)

    def _reject(self, peer: bytes, reason: str) -> None:
        self.rejected += 1
        self._store.totals.dropped += 1
        if self.rejected <= _TOLD_REJECTS or self.rejected % 1000 == 0:
            log.warning("! dropped from %r: %s (%d so far)", peer[:32], reason, self.rejected)
