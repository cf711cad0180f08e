"""Load for fault tests: many SMTP connections that send numbered messages and note what became of each.

A message can be told from every other by its reverse-path, so that even an empty one is known when it is found in a
mailbox. Its text follows from the seed and its number: nothing is kept but the numbers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

# What the sender may be told while the services that it talks to are being stopped; anything else is an error.
_LINE = 65536


@dataclass
class Sent:
    """One message and what became of it. `delivery` is the id of its 250, "" while there was none.

    `size`: of its text, in octets, where that was not left to chance.
    """

    number: int
    recipients: tuple[str, ...]
    delivery: str = ""
    refusal: str = ""
    size: int = 0


@dataclass
class Journal:
    """What all connections have sent, and what went wrong.

    `errors` counts replies that were not the normal ones, and connections that broke; `pauses` are the longest waits
    for a reply, in seconds.
    """

    seed: int
    sent: dict[int, Sent] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    longest_pause: float = 0.0
    broken_connections: int = 0

    @property
    def acknowledged(self) -> list[Sent]:
        # A copy: the senders may run in another thread, and go on.
        return [message for message in list(self.sent.values()) if message.delivery]


def reverse_path(number: int) -> str:
    return f"m{number}@load.example.net"


def text(seed: int, number: int, largest: int, size: float = 0) -> bytes:
    """The text of a message, with LF line ends: from nothing to `largest` octets, full of what is hard to store.

    :param size: how large it is, or a little larger; 0: that is left to chance.
    """
    dice = random.Random(f"{seed}/{number}")
    if not size:
        if dice.random() < 0.05:
            return b""
        # Most messages are small, a few nearly as large as allowed.
        size = largest ** dice.random() ** 6
    awkward = [b"From the start", b">From quoted", b".", b"..", b"", b"\x00\xff 8-bit", b"x" * 70, b"id 0-0.1"]
    lines = [b"Subject: %d" % number, b""]
    filler = dice.randbytes(32).hex().encode()
    held = 0
    while held < size:
        line = dice.choice(awkward) if dice.random() < 0.2 else filler * dice.randint(1, 12)
        lines.append(line)
        held += len(line) + 1
    return b"\n".join(lines) + b"\n"


def stuffed(message: bytes) -> bytes:
    """A message as DATA sends it: CRLF line ends, dots doubled, the final dot."""
    return (b"\n" + message).replace(b"\n.", b"\n..")[1:].replace(b"\n", b"\r\n") + b".\r\n"


class Refused(Exception):
    """A reply that was not the normal one."""


class Sender:
    """One connection after another to 127.0.0.1, each sending messages until told to stop."""

    def __init__(
        self, journal: Journal, port: int, addresses: list[str], name: int, largest: int, size: int = 0
    ) -> None:
        self._size = size
        self._journal = journal
        self._port = port
        self._addresses = addresses
        self._dice = random.Random(f"{journal.seed}/sender/{name}")
        self._name = name
        self._largest = largest
        self._count = 0
        self.stopping = False

    async def run(self) -> None:
        while not self.stopping:
            try:
                await self._one_connection()
            except Refused as refusal:
                self._journal.errors[str(refusal)] += 1
            except (OSError, EOFError):
                self._journal.broken_connections += 1
                await asyncio.sleep(0.05)  # nobody listens while the gateway restarts

    async def _one_connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=_LINE)
        try:
            await self._expect(reader, "220")
            writer.write(b"EHLO load.example.net\r\n")
            await self._expect(reader, "250")
            for _ in range(self._dice.randint(1, 20)):
                if self.stopping:
                    break
                await self._one_message(reader, writer)
            writer.write(b"QUIT\r\n")
            await self._expect(reader, "221")
        finally:
            writer.close()

    async def _one_message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Numbers of different connections never meet: the name is in the last digits.
        self._count += 1
        number = self._count * 1000 + self._name
        octets = stuffed(text(self._journal.seed, number, self._largest, self._size))
        recipients = tuple(self._dice.sample(self._addresses, self._how_many(len(octets))))
        message = self._journal.sent[number] = Sent(number, recipients, size=self._size)
        commands = [
            f"MAIL FROM:<{reverse_path(number)}>",
            *(f"RCPT TO:<{address}>" for address in recipients),
            "DATA",
        ]
        expected = ["250"] * (len(commands) - 1) + ["354"]
        try:
            if self._dice.random() < 0.5:
                writer.write("".join(f"{line}\r\n" for line in commands).encode())
                replies: list[str] = []
                while len(replies) < len(commands) and not (replies and replies[-1].startswith("421")):
                    replies.append(await self._reply(reader))
                self._check(replies, expected)
            else:
                for line, code in zip(commands, expected, strict=True):
                    writer.write(f"{line}\r\n".encode())
                    await self._expect(reader, code)
            writer.write(octets)
            await writer.drain()
            reply = await self._expect(reader, "250")
        except Refused as refusal:
            message.refusal = str(refusal)
            raise
        message.delivery = reply.split()[-1]

    def _how_many(self, octets: int) -> int:
        """How many recipients: seldom many, and few for a large message, or a long run would fill the disk."""
        most = min(50, len(self._addresses), max(2, 1_000_000 // octets))
        return 1 if self._dice.random() < 0.7 else self._dice.randint(2, most)

    async def _expect(self, reader: asyncio.StreamReader, code: str) -> str:
        reply = await self._reply(reader)
        self._check([reply], [code])
        return reply

    @staticmethod
    def _check(replies: list[str], codes: list[str]) -> None:
        for reply, code in zip(replies, codes, strict=False):  # after a 421 there are no more
            if not reply.startswith(code):
                raise Refused(" ".join(reply.split()[:2]))

    async def _reply(self, reader: asyncio.StreamReader) -> str:
        asked = time.monotonic()
        while True:
            line = await reader.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            if line[3:4] != b"-":
                break
        self._journal.longest_pause = max(self._journal.longest_pause, time.monotonic() - asked)
        return line.decode()
