"""What all sessions share: their ids, who is connected, what they need to do their work, and how they end together.

Gives: a `Registry`, which makes the sessions and takes part in an ordered shutdown: `drain`, then `expel`, then
`abort`. Ids are unique across gateways and restarts: 48 random bits for the process, then a number. Two processes in
2**24 (17 million) starts share those bits by the birthday bound, so ids outlive any ledger that knows them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from itertools import count

from gateway.clients.admission import Admission
from gateway.clients.room import ROOM, SMALL_STATE, Room
from gateway.clients.sessions import Session
from gateway.telling.conversation import Conversation
from gateway.telling.farewells import Farewell
from gateway.workers.dispatcher import Dispatcher
from wire.limits import BODY_PIECE, MAX_PIECE
from wire.messages import StepDone

_PREFIX_OCTETS = 6
# Octets of the states of all sessions together, beside those of up to SMALL_STATE: a state has all recipients of a
# mail, with names, so a thousand of them take 60 KiB and, at the most, half a MiB; twice that with what is foreseen.
_STATES = 128 * 1024 * 1024
# The room that large messages share, in octets, until their pieces cannot become smaller: two pieces for each
# connection, one that is under way and the one after it. What was taken in before others connected stays until it is
# handed on. A large piece spares round trips, of which every one of a message has to wait for the one before.
_BODY_ROOM = 16 * 1024 * 1024


class Registry:
    """Makes sessions and knows those that are connected.

    :param domain: the server's, for the replies that the gateway makes by itself.
    :param idle_seconds: how long a client may be silent.
    :param wall: the wall clock, in seconds since the epoch.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        conversation: Conversation,
        admission: Admission,
        domain: str,
        idle_seconds: float,
        wall: Callable[[], float],
    ) -> None:
        self.dispatcher = dispatcher
        self.counts = dispatcher.counts
        self.answers = dispatcher.answers
        self.conversation = conversation
        self.domain = domain
        self.idle_seconds = idle_seconds
        # The size of a piece of a large message, in octets as sent.
        self.piece = MAX_PIECE
        self.room = Room(ROOM)
        self.loop = asyncio.get_running_loop()
        self._admission = admission
        self._wall = wall
        self._prefix = secrets.token_hex(_PREFIX_OCTETS)
        self._numbers = count(1)
        self._sessions: set[Session] = set()
        self._kept = 0
        # Some sessions have to end, or all: `ends` says which.
        self.draining = False
        self._expelling = False
        self._writing: list[Session] = []

    def __len__(self) -> int:
        """How many connections there are, those that are being closed included."""
        return len(self._sessions)

    def make(self) -> Session:
        """A session for a new connection."""
        return Session(self)

    def mint(self) -> str:
        """A new session id."""
        return f"{self._prefix}-{next(self._numbers)}"

    def now_ms(self) -> int:
        """The wall clock, in milliseconds since the epoch."""
        return int(self._wall() * 1000)

    def enter(self, session: Session) -> Farewell | None:
        """A session has its connection; the farewell to say if it must end at once."""
        self._sessions.add(session)
        self._share_room()
        self.counts.connections += 1
        refusal = Farewell.SHUTDOWN if self.draining else self._admission.enter(session.peer)
        session.admitted = refusal is None
        if refusal is not None:
            self.counts.refused[refusal] += 1
        return refusal

    def leave(self, session: Session) -> None:
        """A session has lost its connection."""
        self._sessions.discard(session)
        self._kept -= session.kept
        self._share_room()
        if session.admitted:
            self._admission.leave(session.peer)

    def keep(self, session: Session, done: StepDone) -> bool:
        """Count the state that a session has now, and those foreseen; false if that is too much for all together."""
        kept = len(done.state) + sum(len(seen.state) for seen in done.foreseen)
        kept = kept if kept > SMALL_STATE else 0
        grown = kept - session.kept
        if grown > 0 and self._kept + grown > _STATES:
            return False
        session.kept = kept
        self._kept += grown
        return True

    def write_soon(self, session: Session) -> None:
        """Have a session send its replies at the end of this turn of the loop, with all others of this turn.

        Writing to a client that sleeps makes the kernel wake it, which costs more than the writing; of clients that
        run in one process the first one's reply wakes all.
        """
        if not self._writing:
            self.loop.call_soon(self._write)
        self._writing.append(session)

    def _write(self) -> None:
        writing, self._writing = self._writing, []
        for session in writing:
            session.send()

    def ends(self, in_transaction: bool) -> bool:
        """Whether a session has to end now, for the server is being shut down."""
        return self._expelling or (self.draining and not in_transaction)

    def drain(self) -> None:
        """Let every session end as soon as no mail transaction is under way in it."""
        self.draining = True
        self._advance_all()

    def expel(self) -> None:
        """Let every session end as soon as no step of it is under way."""
        self.draining = self._expelling = True
        self._advance_all()

    def abort(self) -> None:
        """End every connection at once."""
        for session in list(self._sessions):
            session.abort("the server is being shut down")

    def _share_room(self) -> None:
        self.piece = max(BODY_PIECE, min(MAX_PIECE, _BODY_ROOM // (2 * max(1, len(self._sessions)))))

    def _advance_all(self) -> None:
        for session in list(self._sessions):
            session.advance()
