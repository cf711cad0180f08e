"""Each conversation as it happens, on the log and the feed: `C:` what a client said, `S:` what the server said.

Gives: lines of the logger "gateway.conversation", each beginning with the session's id and carrying the same as
fields, and the events of the feed. What a client said is told when a worker has used it, so all is in the order of
the dialogue even when the client talks ahead.
Limits: of a message only its size is told. Octets that a terminal would obey, and those that are not UTF-8, are
escaped, so what a client sends can neither forge a log line nor drive the terminal of whoever watches.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gateway.feed import Feed
from runtime.words import counted
from wire.ids import delivery_in
from wire.messages import Body, Input, Lines, StepDone

log = logging.getLogger("gateway.conversation")

# C0, DEL and C1 control characters, the Unicode line ends, and those that turn the direction of text around.
_OBEYED = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x2028,
    0x2029,
    0x061C,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _OBEYED}
# A worker's routing id is 32 hexadecimal digits; so many tell the workers of a stack apart.
_WORKER_DIGITS = 8


def printable(octets: bytes) -> str:
    """Text that any terminal can show: UTF-8 as it is, all that is not text as `\\x1b`."""
    return octets.decode("utf-8", "backslashreplace").translate(_ESCAPES)


class Conversation:
    """Tells the conversations of all sessions. Each of its calls is about one session and its client's address.

    :param shown: whether the log is told.
    :param feed: who else is, while anybody listens there.
    :param fields: whether log lines carry fields; lines for people do not show them.
    :param clock: any clock, in seconds.
    """

    def __init__(
        self,
        shown: bool,
        feed: Feed | None = None,
        *,
        fields: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.clock = clock
        self._shown = shown
        self._fields = fields
        self._feed = feed
        # Whether there is anybody to tell: all that a silent conversation costs is to look at this.
        self.told = False
        if feed is not None:
            feed.on_change = self._look
        self._look()

    def _look(self) -> None:
        self.told = self._shown or (self._feed is not None and self._feed.watched)

    def connected(self, session: str, peer: str) -> None:
        if self.told:
            peer = printable(peer.encode())
            self._tell("connected", f"connection from {peer}", session, peer, {})

    def answered(self, session: str, peer: str, spoken: Input, done: StepDone, worker: bytes, begun: float) -> None:
        """A worker has done a step: it has used an input of the client, or some lines of it, and replied.

        :param worker: its routing id.
        :param begun: what `clock` said when the step began; 0 if nobody was there to be told.
        """
        if not self.told:
            return
        by: dict[str, object] = {"worker": printable(worker)[:_WORKER_DIGITS]}
        if begun:
            by["ms"] = round((self.clock() - begun) * 1000, 3)
        if isinstance(spoken, Body) and spoken.last:
            size = spoken.offset + len(spoken.data)
            text = "too big" if spoken.too_big else counted(size, "octet")
            told: dict[str, object] = {"octets": size, "too_big": spoken.too_big}
            self._tell("message", f"C: (message, {text})", session, peer, told)
            # A positive reply to a message names what was delivered (RFC 5321 section 4.2.1: 2yz).
            if done.replies.startswith(b"2") and (delivery := delivery_in(printable(done.replies), session)):
                by["delivery"] = delivery
        elif isinstance(spoken, Lines):
            for line in spoken.lines[: done.consumed]:
                text = "(line too long)" if line is None else printable(line)
                self._tell("client", f"C: {text}", session, peer, {"text": text, "verb": _verb(text)})
        self._replies(session, peer, done.replies, by)
        if "delivery" in by and self._feed is not None and self._feed.watched:
            # The log has it with the reply.
            self._feed.tell("delivered", session=session, peer=peer, delivery=by["delivery"])

    def said(self, session: str, peer: str, replies: bytes) -> None:
        """The gateway itself has replied."""
        if self.told:
            self._replies(session, peer, replies, {})

    def injected(self, session: str, peer: str, what: str) -> None:
        """A failure on cue: told even where conversations are not, for whoever wonders must find it."""
        text = printable(what.encode())
        self._tell("injected", f"! injected: {text}", session, peer, {"text": text}, logging.WARNING)

    def closed(self, session: str, peer: str, why: str) -> None:
        if self.told:
            self._tell("closed", f"closed: {why}", session, peer, {"why": why})

    def _replies(self, session: str, peer: str, replies: bytes, by: dict[str, object]) -> None:
        for line in replies.splitlines():
            text = printable(line)
            self._tell("server", f"S: {text}", session, peer, {"text": text, **by})

    def _tell(
        self, event: str, line: str, session: str, peer: str, fields: dict[str, object], level: int = logging.INFO
    ) -> None:
        if self._shown or level > logging.INFO:
            extra = {"event": event, "session": session, "peer": peer, **fields} if self._fields else None
            log.log(level, "%s %s", session, line, extra=extra)
        if self._feed is not None and self._feed.watched:
            self._feed.tell(event, session=session, peer=peer, **fields)


def _verb(text: str) -> str:
    """The first word, if it looks like one; the gateway does not know which there are."""
    word = text.partition(" ")[0]
    return word.upper() if word.isascii() and word.isalpha() else ""
