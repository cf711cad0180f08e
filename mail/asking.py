"""Does a server take mail? Asked as a client would, up to an accepted recipient, and then not sending any.

Gives: `why_not`. Fails: with the OSError of the connection that it is given, with ConnectionError where the server
closes it. Limits: it waits for each reply as long as that connection does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import IO

# RFC 5321 section 4.5.3.1.5: a reply line has 512 octets at most; many servers say more. Of lines none says so many.
_MAX_LINE = 4096
_MAX_LINES = 100


def why_not(
    send: Callable[[bytes], object],
    replies: IO[bytes],
    recipient: str = "postmaster",
    told: Callable[[str, list[str]], None] | None = None,
) -> str:
    """Hold the short session; nothing is stored.

    :param send: puts octets on the connection, all of them.
    :param replies: what comes from it.
    :param recipient: whom mail is for; by default the one that every server takes (RFC 5321 section 4.5.1).
    :param told: is given each line that was sent, "" before the greeting, and the lines of its reply.
    :returns: "" where mail is taken, else the reason in words.
    """

    def ask(line: str) -> str:
        if line:
            send(line.encode() + b"\r\n")
        reply = _reply(replies)
        if told is not None:
            told(line, reply)
        return reply[-1]

    said = ask("")
    if not said.startswith("2"):
        return f"the greeting is a refusal: {said}"
    # RFC 6531 section 3.4: an address that is not ASCII needs the extension for the whole mail.
    sender = "MAIL FROM:<>" if recipient.isascii() else "MAIL FROM:<> SMTPUTF8"
    trouble = ""
    for line in ("EHLO localhost", sender, f"RCPT TO:<{recipient}>"):
        said = ask(line)
        if not said.startswith("2"):
            trouble = f"{line} was answered: {said}"
            break
    # What the server says to it, or that it says nothing any more, changes nothing.
    with suppress(OSError):
        ask("QUIT")
    return trouble


def _reply(replies: IO[bytes]) -> list[str]:
    """The lines of a reply (RFC 5321 section 4.2.1: `250-` goes on, `250 ` ends)."""
    lines: list[str] = []
    while True:
        line = replies.readline(_MAX_LINE)
        if not line:
            raise ConnectionError("the server closed the connection")
        lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
        if line[3:4] != b"-" or len(lines) == _MAX_LINES:
            return lines
