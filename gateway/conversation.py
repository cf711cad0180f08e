"""Each conversation as it happens, on the log: `C:` what a client said, `S:` what the server said.

Gives: lines of the logger "gateway.conversation", each beginning with the session's id. What a client said is told
when a worker has used it, so the lines are in the order of the dialogue even when the client talks ahead.
Limits: of a message only its size is told. Octets that a terminal would obey, and those that are not UTF-8, are
escaped, so what a client sends can neither forge a log line nor drive the terminal of whoever watches.
"""

from __future__ import annotations

import logging

from wire.messages import Body, Input, Lines

log = logging.getLogger("gateway.conversation")

# C0, DEL and C1 control characters, the Unicode line ends, and those that turn the direction of text around.
_OBEYED = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x2028,
    0x2029,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _OBEYED}


def printable(octets: bytes) -> str:
    """Text that any terminal can show: UTF-8 as it is, all that is not text as `\\x1b`."""
    return octets.decode("utf-8", "backslashreplace").translate(_ESCAPES)


class Conversation:
    """Tells the conversations of all sessions.

    :param shown: false to tell nothing.
    """

    def __init__(self, shown: bool) -> None:
        self._shown = shown

    def connected(self, session: str, peer: str) -> None:
        if self._shown:
            log.info("%s connection from %s", session, printable(peer.encode()))

    def used(self, session: str, spoken: Input, consumed: int) -> None:
        """A worker has used an input of a client, and of its lines the first `consumed`."""
        if not self._shown:
            return
        if isinstance(spoken, Body) and spoken.last:
            size = spoken.offset + len(spoken.data)
            log.info("%s C: (message, %s)", session, "too big" if spoken.too_big else f"{size} octets")
        if isinstance(spoken, Lines | Body):
            for line in spoken.lines[:consumed]:
                log.info("%s C: %s", session, "(line too long)" if line is None else printable(line))

    def said(self, session: str, replies: bytes) -> None:
        """Reply lines were sent."""
        if self._shown:
            for line in replies.splitlines():
                log.info("%s S: %s", session, printable(line))

    def injected(self, session: str, what: str) -> None:
        """A failure on cue: told even where conversations are not, for whoever wonders must find it."""
        log.warning("%s ! injected: %s", session, printable(what.encode()))

    def closed(self, session: str, why: str) -> None:
        if self._shown:
            log.info("%s closed: %s", session, why)
