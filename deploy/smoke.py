"""Does a stack take mail? Asked the way a client would: up to an accepted recipient, and then not sending any.

Gives: None where it does, else the reason in words. Raises nothing for what a network or a server may do.
Limits: one connection; blocks for at most about `timeout` seconds for each reply.
"""

from __future__ import annotations

import socket
from typing import BinaryIO

# What the server must answer in a session, without storing anything: the line sent and the reply code.
_SCRIPT = (
    ("EHLO localhost", "250"),
    ("MAIL FROM:<>", "250"),
    ("RCPT TO:<postmaster>", "250"),
    ("RSET", "250"),
    ("QUIT", "221"),
)


def why_not(host: str, port: int, timeout: float) -> str | None:
    """Hold the short session with host:port; None says that mail is taken.

    :param timeout: seconds to wait for the connection, and for each reply.
    """
    try:
        with socket.create_connection((host, port), timeout) as connection, connection.makefile("rb") as replies:
            reply = _reply(replies)
            if not reply.startswith("220"):
                return f"the greeting was {reply!r}"
            for line, code in _SCRIPT:
                connection.sendall(line.encode() + b"\r\n")
                reply = _reply(replies)
                if not reply.startswith(code):
                    return f"{line} was answered {reply!r}"
    except OSError as error:
        return f"{host} port {port}: {error.strerror or error}"
    return None


def _reply(replies: BinaryIO) -> str:
    """The last line of a reply, which may have several (RFC 5321 section 4.2.1: `250-` goes on, `250 ` ends)."""
    while True:
        line = replies.readline(4096)
        if line[3:4] != b"-":
            return line.decode("utf-8", "replace").rstrip("\r\n") if line else "(connection closed)"
