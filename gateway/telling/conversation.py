"""Each conversation as it happens, on the log and the feed: `C:` what a client said, `S:` what the server said.

Gives: events of the log, each beginning with the session's id and carrying the same as fields, and those of the feed.
What a client said is told when a worker has used it, so all is in the order of the dialogue even when the client
talks ahead.
Limits: of a message only its size is told, and of a line that its worker calls secret, that there was one. Octets
that a terminal would obey, and those that are not UTF-8, are escaped, so what a client sends can neither forge a log
line nor drive the terminal of whoever watches.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache

from gateway.telling.feed import Feed
from runtime import counted
from runtime.telling import EventLog, escaped, members, quoted
from wire.messages import Body, Input, Lines, StepDone

log = logging.getLogger(__name__)

# A worker's routing id is 32 hexadecimal digits; so many tell the workers of a stack apart.
_WORKER_DIGITS = 8


def printable(octets: bytes) -> str:
    r"""Text that any terminal can show: UTF-8 as it is, all that is not text as `\x1b`."""
    text = octets.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else escaped(text)


class Conversation:
    """Tells the conversations of all sessions. Each of its calls is about one session and its client's address.

    :param events: the log; None: it is not told.
    :param feed: who else is, while anybody listens there.
    :param clock: any clock, in seconds.
    """

    def __init__(
        self, events: EventLog | None, feed: Feed | None = None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.clock = clock
        self._events = events
        self._feed = feed
        # Whether there is anybody to tell: all that a silent conversation costs is to look at this.
        self.has_audience = False
        # Whether the feed is to be told, and whether anybody wants more than lines.
        self._watched = self._fields = False
        if feed is not None:
            feed.on_change = self._look
        self._look()

    def _look(self) -> None:
        self._watched = self._feed is not None and self._feed.watched
        self.has_audience = self._watched or self._events is not None
        self._fields = self._watched or (self._events is not None and self._events.fields)
        # Called with a line and its fields, for whoever wants them: nobody does without `_fields`.
        self._tell = self._tell_both if self._watched or self._events is None else self._events.tell

    def connected(self, session: str, peer: str) -> None:
        if self.has_audience:
            peer = escaped(peer)
            self._event(f"{session} connection from {peer}", event="connected", session=session, peer=peer)

    def answered(self, session: str, peer: str, spoken: Input, done: StepDone, worker: bytes, begun: float) -> None:
        """A worker has done a step: it has used an input of the client, or some lines of it, and replied.

        :param worker: its routing id.
        :param begun: what `clock` said when the step began; 0 if nobody was there to be told.
        """
        if not self.has_audience:
            return
        who = by = ""
        if self._fields:
            who, by = _who(session, peer), self._by(worker, begun)
        if isinstance(spoken, Lines):
            for line, told in zip(spoken.lines, done.told, strict=False):
                text = "(secret)" if told.secret else "(line too long)" if line is None else printable(line)
                fields = ""
                if self._fields:
                    fields = f'"event":"client",{who},"text":{quoted(text)},"verb":{quoted(told.verb)}'
                self._tell(f"{session} C: {text}", fields)
        elif isinstance(spoken, Body) and spoken.last:
            self._message(session, peer, spoken)
            if done.delivery and self._fields:
                by = f'{by},"delivery":{quoted(done.delivery)}'
        self._replies(session, done.replies, who, by)
        if done.delivery and self._feed is not None and self._watched:
            # The log has it with the reply.
            self._feed.tell(members(event="delivered", session=session, peer=peer, delivery=done.delivery))

    def said(self, session: str, peer: str, replies: bytes) -> None:
        """The gateway itself has replied."""
        if self.has_audience:
            self._replies(session, replies, _who(session, peer))

    def injected(self, session: str, peer: str, what: str) -> None:
        """A failure on cue: told even where conversations are not, for whoever wonders must find it."""
        text = escaped(what)
        fields = {"event": "injected", "session": session, "peer": peer, "text": text}
        log.warning("%s ! injected: %s", session, text, extra=fields)
        if self._feed is not None and self._watched:
            self._feed.tell(members(**fields))

    def closed(self, session: str, peer: str, why: str) -> None:
        if self.has_audience:
            why = escaped(why)
            self._event(f"{session} closed: {why}", event="closed", session=session, peer=peer, why=why)

    def _by(self, worker: bytes, begun: float) -> str:
        """Which worker has replied, and how long that took: what follows the other fields."""
        return f'{_worker(worker)},"ms":{round((self.clock() - begun) * 1e6) / 1000}' if begun else _worker(worker)

    def _message(self, session: str, peer: str, message: Body) -> None:
        size = message.offset + len(message.data)
        text = "too big" if message.too_big else counted(size, "octet")
        fields = {"event": "message", "session": session, "peer": peer, "octets": size, "too_big": message.too_big}
        self._event(f"{session} C: (message, {text})", **fields)

    def _replies(self, session: str, replies: bytes, who: str, by: str = "") -> None:
        for line in replies.splitlines():
            text = fields = printable(line)
            if self._fields:
                fields = f'"event":"server",{who},"text":{quoted(text)}{by}'
            self._tell(f"{session} S: {text}", fields)

    def _event(self, line: str, **fields: object) -> None:
        self._tell(line, members(**fields) if self._fields else "")

    def _tell_both(self, line: str, fields: str) -> None:
        if self._events is not None:
            self._events.tell(line, fields)
        if self._feed is not None and self._watched:
            self._feed.tell(fields)


# Most lines are of sessions, and by workers, that have said something a moment ago.
@lru_cache(1024)
def _who(session: str, peer: str) -> str:
    return members(session=session, peer=peer)


@lru_cache(64)
def _worker(worker: bytes) -> str:
    return "," + members(worker=printable(worker)[:_WORKER_DIGITS])
