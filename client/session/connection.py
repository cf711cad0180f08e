"""A TCP connection to an SMTP server: lines out, replies in.

Gives: `Connection`, whose `send` and `reply` are coroutines and may run at the same time.
Fails: `NoConnection` when no connection can be made, `ConnectionLost` when it ends or the server does not speak SMTP.
Both say in words for a person what happened, in English unless asked for the other language, and end the program with
`EXIT_NO_SERVER`.
Limits: what the server says is bounded by `smtp.ReplyReader`; what is sent goes no faster than the server reads.
"""

from __future__ import annotations

import asyncio
import socket
from typing import IO, Any, Self

import click

from ..language import Language, Phrase
from ..run_folder import EXIT_NO_SERVER, run_folder
from .smtp import ReplyError, ReplyReader, ServerReply

# A host that drops packets shows itself only by silence; a working one answers in well under a second.
CONNECT_SECONDS = 15.0
_READ_SIZE = 64 * 1024


_ERROR = Phrase("Error: {message}", "Erro: {message}")
_NOBODY = Phrase(
    "Nobody listens on {where}. Start a stack with: make up, or correio serve",
    "Ninguém escuta em {where}. Inicie um servidor com: make up, ou correio serve",
)
_NOBODY_HERE = Phrase(
    "Nobody listens on {where}. The stack in RUN={run} takes mail on port {port}: --port {port}",
    "Ninguém escuta em {where}. O servidor de RUN={run} recebe correio na porta {port}: --port {port}",
)
_NOBODY_ANY_MORE = Phrase(
    "Nobody listens on {where}, where the stack in RUN={run} was started: it has ended, or is on its way. "
    "See: correio status; start it with: make up, or correio serve",
    "Ninguém escuta em {where}, onde foi iniciado o servidor de RUN={run}: ele terminou, ou está a caminho. "
    "Veja: correio status; inicie-o com: make up, ou correio serve",
)
_NO_HOST = Phrase("There is no host named {host}", "Não existe máquina com o nome {host}")
_NO_ANSWER = Phrase("{where} does not answer", "{where} não responde")
_NO_CONNECTION = Phrase("No connection to {where}: {why}", "Sem conexão com {where}: {why}")
_LOST = Phrase("The connection was lost: {why}", "A conexão se perdeu: {why}")
_CLOSED = Phrase("The server closed the connection", "O servidor encerrou a conexão")
_SILENT = Phrase("The server has said nothing for {seconds:.0f} s", "O servidor não diz nada há {seconds:.0f} s")
_DEAF = Phrase("The server has read nothing for {seconds:.0f} s", "O servidor não lê nada há {seconds:.0f} s")
_NOT_SMTP = Phrase(
    "This is not an SMTP server, or it is broken: {why}",
    "Isto não é um servidor SMTP, ou está com defeito: {why}",
)


class ServerError(click.ClickException):
    """There is no server, or no more. `message` is in English until another language is asked for.

    :param text: what happened, with these values in it.
    """

    exit_code = EXIT_NO_SERVER

    def __init__(self, text: Phrase, language: Language = Language.ENGLISH, **values: object) -> None:
        super().__init__(text.say(language, **values))
        self._text, self._language, self._values = text, language, values

    def in_language(self, language: Language) -> Self:
        """The same in this language."""
        return type(self)(self._text, language, **self._values)

    def show(self, file: IO[Any] | None = None) -> None:
        """Tell it on standard error, as click does for all errors."""
        click.echo(_ERROR.say(self._language, message=self.format_message()), file=file, err=file is None)


class NoConnection(ServerError):
    """No connection to the server."""


class ConnectionLost(ServerError):
    """The connection ended, fell silent, or carries something that is not SMTP."""


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
                    raise ConnectionLost(_LOST, why=error.strerror) from None
        except TimeoutError:
            raise ConnectionLost(_DEAF, seconds=timeout) from None

    async def reply(self, timeout: float | None = None) -> ServerReply:
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
            raise ConnectionLost(_SILENT, seconds=timeout) from None
        except ReplyError as error:
            raise ConnectionLost(_NOT_SMTP, why=error) from None

    async def _receive(self) -> bytes:
        try:
            octets = await asyncio.get_running_loop().sock_recv(self._socket, _READ_SIZE)
        except OSError as error:
            raise ConnectionLost(_LOST, why=error.strerror) from None
        if not octets:
            raise ConnectionLost(_CLOSED)
        return octets

    def close(self) -> None:
        """End the connection; no send or reply may be under way."""
        self._socket.close()


def connect(host: str, port: int) -> Connection:
    """Connect to a server; blocks.

    :param host: a name or an IP address.
    :raises NoConnection: with what to do about it.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return Connection(socket.create_connection((host, port), CONNECT_SECONDS))
    except ConnectionRefusedError:
        raise _nobody(where, port) from None
    except (socket.gaierror, UnicodeError):
        raise NoConnection(_NO_HOST, host=host) from None
    except TimeoutError:
        raise NoConnection(_NO_ANSWER, where=where) from None
    except OSError as error:
        raise NoConnection(_NO_CONNECTION, where=where, why=error.strerror) from None


def _nobody(where: str, port: int) -> NoConnection:
    run = run_folder()
    if run.port == port:
        return NoConnection(_NOBODY_ANY_MORE, where=where, run=run.path)
    if run.port:
        return NoConnection(_NOBODY_HERE, where=where, run=run.path, port=run.port)
    return NoConnection(_NOBODY, where=where)
