"""The few replies that the gateway says by itself, when no worker can: each one ends the connection.

They are all 421, which RFC 5321 section 3.8 allows at any time; the codes after it are those of RFC 3463.
"""

from __future__ import annotations

from enum import Enum


class Farewell(Enum):
    """Why the gateway closes a connection; the value is the reply, with the server's domain to be filled in."""

    TOO_MANY = "421 4.3.2 {domain} Too many connections here, try again later"
    TOO_MANY_FROM_ADDRESS = "421 4.7.0 {domain} Too many connections from your address, close some first"
    IDLE = "421 4.4.2 {domain} Nothing came from you for too long, closing the connection"
    NO_WORKER = "421 4.3.2 {domain} Nobody can serve you now, try again later"
    NO_ROOM = "421 4.3.2 {domain} Too much is held for transactions under way, try again later"
    POISONED = "421 4.3.0 {domain} What you sent could not be processed, closing the connection"
    SHUTDOWN = "421 4.3.2 {domain} The server is being shut down, try again later"

    def reply(self, domain: str) -> bytes:
        """The reply line, CRLF included.

        :param domain: the server's.
        """
        return (self.value.format(domain=domain) + "\r\n").encode()
