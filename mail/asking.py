"""Does a server take mail? Asks as a client would, up to an accepted recipient, and then sends nothing.

Gives: `why_not`, the session; `over`, how to ask over a connection, for those who have no reader of replies.
Fails: `why_not` with what `ask` fails with; `over` with the OSError of the connection that it is given, with
ConnectionError where the server closes it. Limits: each reply is waited for as long as that connection does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import IO

# RFC 5321 section 4.5.3.1.5: a reply line has 512 octets at most; many servers say more. Of lines none says so many.
_MAX_LINE = 4096
_MAX_LINES = 100


def why_not(ask: Callable[[str], str], recipient: str = "postmaster", lost: type[Exception] = OSError) -> str:
    """Hold the short session; nothing is stored.

    :param ask: sends a line, none where it is "", and gives the reply to it, or its last line.
    :param recipient: whom mail is for; by default the one that every server takes (RFC 5321 section 4.5.1).
    :param lost: what `ask` raises when the connection ends.
    :returns: "" where mail is taken, else the reason in words.
    """
    said = ask("")
    if not said.startswith("2"):
        return f"the greeting is a refusal: {said}"
    # RFC 6531 section 3.4: an address that is not ASCII needs the extension for the whole mail.
    sender = "MAIL FROM:<>" if recipient.isascii() else "MAIL FROM:<> SMTPUTF8"
    trouble = ""
    for line in ("EHLO localhost", sender, f"RCPT TO:<{recipient}>"):
        said = ask(line)
        # A server without EHLO may take mail; 421 is the end of the session.
        if not said.startswith("2") and (line != "EHLO localhost" or said.startswith("421")):
            trouble = f"{line} was answered: {said}"
            break
    # What the server says to it, or that it says nothing any more, changes nothing.
    with suppress(lost):
        ask("QUIT")
    return trouble


def over(send: Callable[[bytes], object], replies: IO[bytes]) -> Callable[[str], str]:
    """How to ask over a connection; of a reply its last line is given.

    :param send: puts octets on the connection, all of them.
    :param replies: what comes from it.
    """

    def ask(line: str) -> str:
        if line:
            send(line.encode() + b"\r\n")
        return _last_line(replies)

    return ask


def _last_line(replies: IO[bytes]) -> str:
    """Of a reply (RFC 5321 section 4.2.1: `250-` goes on, `250 ` ends)."""
    for _ in range(_MAX_LINES):
        line = replies.readline(_MAX_LINE)
        if not line:
            raise ConnectionError("the server closed the connection")
        if line[3:4] != b"-":
            break
    return line.decode("utf-8", "replace").rstrip("\r\n")
