"""The dialogue that delivers one mail: EHLO, MAIL, every RCPT, DATA, QUIT.

Gives: `deliver`. All recipients are in one transaction, and where the server refuses one of them nothing is sent to
any: a mail that reached some of those it was meant for is hard to repeat.
Fails: `Refused` with the server's own words, `connection.ConnectionLost`, `composing.MessageError`.
Limits: memory is bounded by a few pieces of the message; every wait has the time limit of RFC 5321 section 4.5.3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import click

from ..language import Phrase, counted
from ..terminal import harmless_line, harmless_text
from .composing import PIECE, ComposedMessage, Fields, MessageError, Scan, compose, scan
from .connection import Connection, ConnectionLost
from .smtp import CRLF, ServerReply, extensions, stuffed

_UNCERTAIN = Phrase(
    "{how}, after the whole message was sent: it may have been delivered, or not",
    "{how}, depois do envio da mensagem inteira: ela pode ter sido entregue, ou não",
)

# Exit status when the server said no.
EXIT_REFUSED = 1
# RFC 5321 section 4.5.3.2, in seconds: the greeting and commands; one piece of the message; the reply to its end.
COMMAND_SECONDS = 300.0
PIECE_SECONDS = 180.0
END_SECONDS = 600.0
# What a server that has given up, or been told QUIT, may still have to say comes soon or never.
LAST_WORDS_SECONDS = 5.0
# Commands sent before their replies are read. The replies wait in the socket meanwhile, and 100 of them are far
# from filling it (RFC 2920 section 3.1 warns of that).
GROUP = 100

Show = Callable[[str], None]


class Refused(click.ClickException):
    """The server said no; the text is what it said."""

    exit_code = EXIT_REFUSED


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends and who receives; `sender` is "" for the null reverse-path. `helo` is "" for this end's address."""

    sender: str
    recipients: tuple[str, ...]
    helo: str = ""


class ShownConnection:
    """Commands and their replies, shown as they pass if that is wanted."""

    def __init__(self, connection: Connection, show: Show) -> None:
        self._connection = connection
        self._show = show

    async def hear(self, seconds: float = COMMAND_SECONDS) -> ServerReply:
        """The next reply."""
        reply = await self._connection.reply(seconds)
        for line in str(reply).splitlines():
            self._show(f"S: {harmless_line(line)}")
        return reply

    async def say(self, *commands: str) -> None:
        """Send commands in one group."""
        for command in commands:
            self._show(f"C: {harmless_line(command)}")
        await self._connection.send(b"".join(command.encode() + CRLF for command in commands), PIECE_SECONDS)

    async def ask(self, command: str) -> ServerReply:
        """Send a command and wait for its reply."""
        await self.say(command)
        return await self.hear()

    async def send_body(self, pieces: Iterable[bytes]) -> None:
        """Send what comes after 354, dots doubled, with the end of data.

        A server that gives up on the way says why before it closes, so its reply is worth a look.
        """
        sent = 0
        try:
            for piece in _gathered(stuffed(pieces)):
                await self._connection.send(piece, PIECE_SECONDS)
                sent += len(piece)
        except ConnectionLost as lost:
            try:
                reply = await self.hear(LAST_WORDS_SECONDS)
            except ConnectionLost:
                raise lost from None
            raise Refused(harmless_text(str(reply))) from None
        self._show(f"C: ({counted(sent, 'octet')} of message)")

    async def leave(self) -> None:
        """Say QUIT. The mail's fate is known by now, so whatever happens here is no failure."""
        with suppress(ConnectionLost):
            await self.say("QUIT")
            await self.hear(LAST_WORDS_SECONDS)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets in pieces that are worth a system call each."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _demand(reply: ServerReply, code: int | None = None) -> ServerReply:
    """The reply, if it has this code; by default any 2xx."""
    if reply.code != code if code else not reply.positive:
        raise Refused(harmless_text(str(reply)))
    return reply


async def deliver(
    connection: Connection, envelope: Envelope, file: BinaryIO, fields: Fields, show: Show
) -> ServerReply:
    """Send one mail.

    :param file: the message, seekable.
    :param show: is given each line of the dialogue.
    :returns: the server's reply to the end of data, which is positive: it has the mail in safety.
    :raises Refused: the server did not take it, and has stored nothing.
    :raises ConnectionLost: in the text, whether the mail may have been delivered all the same.
    :raises MessageError: it is no message.
    """
    server = ShownConnection(connection, show)
    try:
        _demand(await server.hear())
        offered = await _hello(server, envelope.helo or _literal(connection.local_address))
        message = _fit(scan(file), fields, envelope, offered)
        await _transaction(server, envelope, _parameters(message, file, envelope, offered), offered)
        _demand(await server.ask("DATA"), 354)
        await server.send_body(message.pieces(file))
        try:
            reply = await server.hear(END_SECONDS)
        except ConnectionLost as lost:
            raise ConnectionLost(_UNCERTAIN, how=lost.message) from None
        _demand(reply)
    except (Refused, MessageError):
        await server.leave()
        raise
    await server.leave()
    return reply


def _literal(address: str) -> str:
    # RFC 5321 section 4.1.4: a client without a name of its own gives its address literal.
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _hello(server: ShownConnection, name: str) -> dict[str, str]:
    reply = await server.ask(f"EHLO {name}")
    if 500 <= reply.code <= 504:
        # A server from before EHLO (RFC 5321 section 3.2) has no extensions.
        _demand(await server.ask(f"HELO {name}"))
        return {}
    return extensions(_demand(reply))


def _fit(scanned: Scan, fields: Fields, envelope: Envelope, offered: dict[str, str]) -> ComposedMessage:
    """The message in a form that this server takes."""
    message = compose(scanned, fields, eight_bit_offered="8BITMIME" in offered)
    if message.eight_bit and "8BITMIME" not in offered:
        raise Refused("The message has octets over 127, and the server does not offer 8BITMIME")
    if _needs_smtputf8(message, envelope) and "SMTPUTF8" not in offered:
        raise Refused("An address or a header field is not ASCII, and the server does not offer SMTPUTF8")
    return message


def _needs_smtputf8(message: ComposedMessage, envelope: Envelope) -> bool:
    return message.utf8_header or not all(a.isascii() for a in (envelope.sender, *envelope.recipients))


def _parameters(message: ComposedMessage, file: BinaryIO, envelope: Envelope, offered: dict[str, str]) -> str:
    parameters = ""
    if "SIZE" in offered:
        parameters += f" SIZE={message.size(file)}"
    if _needs_smtputf8(message, envelope):
        parameters += " SMTPUTF8"
    # RFC 6531 section 3.1: with SMTPUTF8 the header's octets need 8BITMIME too, which such a server must offer.
    if "8BITMIME" in offered and (message.eight_bit or message.utf8_header):
        parameters += " BODY=8BITMIME"
    return parameters


async def _transaction(server: ShownConnection, envelope: Envelope, parameters: str, offered: dict[str, str]) -> None:
    """MAIL and every RCPT; all refusals are told together."""
    commands = [f"MAIL FROM:<{envelope.sender}>{parameters}"]
    commands += [f"RCPT TO:<{recipient}>" for recipient in envelope.recipients]
    refusals = []
    group = GROUP if "PIPELINING" in offered else 1
    for start in range(0, len(commands), group):
        together = commands[start : start + group]
        await server.say(*together)
        for position, command in enumerate(together, start):
            reply = await server.hear()
            if reply.code == 421 or (position == 0 and not reply.positive):
                # The session or the transaction is over, and what follows is refused for that alone.
                raise Refused(harmless_text(str(reply)))
            if not reply.positive:
                refusals.append(harmless_text(f"{command}\n{reply}"))
    if refusals:
        others = "; nothing was sent to the others" if len(refusals) < len(envelope.recipients) else ""
        raise Refused("\n".join(["the server refused" + others, *refusals]))
