"""A TCP connection to an SMTP server: lines out, replies in.

Gives: `Connection`, whose `send` and `reply` are coroutines and may run at the same time.
Fails: `Unreachable` when no connection can be made, `ConnectionLost` when it ends or the server does not speak SMTP.
Both say in words for a person what happened and end the program with `EXIT_NO_SERVER`.
Limits: what the server says is bounded by `smtp.ReplyReader`; what is sent goes no faster than the server reads.
"""

from __future__ import annotations

import asyncio
import socket

import click

from .options import EXIT_NO_SERVER
from .run_folder import other_port
from .smtp import Reply, ReplyError, ReplyReader

# A host that drops packets shows itself only by silence; a working one answers in well under a second.
CONNECT_SECONDS = 15.0
_READ_SIZE = 64 * 1024


class Unreachable(click.ClickException):
    """No connection to the server."""

    exit_code = EXIT_NO_SERVER


class ConnectionLost(click.ClickException):
    """The connection ended, fell silent, or carries something that is not SMTP."""

    exit_code = EXIT_NO_SERVER


class Connection:
    """One connection. `sock` is connected; from here on it belongs to this object."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._reader = ReplyReader()

    @property
    def local_address(self) -> str:
        """The IP address of this end."""
        return str(self._socket.getsockname()[0])

    @property
    def last_words(self) -> str:
        """What the server said without finishing it, lines joined by line feeds."""
        return self._reader.unfinished

    async def send(self, octets: bytes, timeout: float | None = None) -> None:
        """Send, waiting as long as the server takes to read.

        :param timeout: seconds without all of it being taken; None waits for ever.
        :raises ConnectionLost: it could not be sent.
        """
        try:
            async with asyncio.timeout(timeout):
                try:
                    await asyncio.get_running_loop().sock_sendall(self._socket, octets)
                except OSError as error:
                    raise ConnectionLost(f"The connection was lost: {error.strerror}") from None
        except TimeoutError:
            raise ConnectionLost(f"The server has read nothing for {timeout:.0f} s") from None

    async def reply(self, timeout: float | None = None) -> Reply:
        """The next reply.

        :param timeout: seconds to wait for it; None waits for ever.
        :raises ConnectionLost: there is none to come.
        """
        try:
            async with asyncio.timeout(timeout):
                while (reply := self._reader.next_reply()) is None:
                    self._reader.feed(await self._receive())
                return reply
        except TimeoutError:
            raise ConnectionLost(f"The server has said nothing for {timeout:.0f} s") from None
        except ReplyError as error:
            raise ConnectionLost(f"This is not an SMTP server, or it is broken: {error}") from None

    async def _receive(self) -> bytes:
        try:
            octets = await asyncio.get_running_loop().sock_recv(self._socket, _READ_SIZE)
        except OSError as error:
            raise ConnectionLost(f"The connection was lost: {error.strerror}") from None
        if not octets:
            raise ConnectionLost("The server closed the connection")
        return octets

    def close(self) -> None:
        """End the connection; no send or reply may be under way."""
        self._socket.close()


def connect(host: str, port: int) -> Connection:
    """Connect to a server; blocks.

    :param host: a name or an IP address.
    :raises Unreachable: with what to do about it.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return Connection(socket.create_connection((host, port), CONNECT_SECONDS))
    except ConnectionRefusedError:
        advice = other_port(port) or "Start the stack with: make up"
        raise Unreachable(f"Nobody listens on {where}. {advice}") from None
    except (socket.gaierror, UnicodeError):
        raise Unreachable(f"There is no host named {host}") from None
    except TimeoutError:
        raise Unreachable(f"{where} does not answer") from None
    except OSError as error:
        raise Unreachable(f"No connection to {where}: {error.strerror}") from None
