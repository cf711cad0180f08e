"""A scripted SMTP server on a free port, for the parts of the client that need a socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from tests.conditions import DEADLINE


class Peer:
    """The server's end of one connection, with what it has heard."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rb")
        self.heard: list[bytes] = []

    def say(self, *lines: str) -> None:
        self.connection.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def hear(self) -> bytes:
        """The next line without its CRLF; b"" when the client has closed."""
        line = self.file.readline()
        assert not line or line.endswith(b"\r\n"), line
        if line:
            self.heard.append(line[:-2])
        return line[:-2]

    def hear_body(self) -> bytes:
        """The octets up to the end of data, dots still doubled."""
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            assert line.endswith(b"\r\n"), line
            lines.append(line)
        return b"".join(lines)


@dataclass
class Answers:
    """A server that obeys; what it says can be changed by the start of a command."""

    greeting: str = "220 test ESMTP"
    ehlo: tuple[str, ...] = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8")
    changed: dict[str, str] = field(default_factory=dict)
    end: str = "250 2.0.0 Delivered abc.1"
    heard: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, peer: Peer) -> None:
        peer.say(*self.greeting.split("\n"))
        while line := peer.hear().decode():
            self.heard.append(line)
            reply = next((text for start, text in self.changed.items() if line.startswith(start)), None)
            verb = line.split(" ")[0].upper()
            if reply is not None:
                peer.say(*reply.split("\n"))
                if reply.startswith("421"):
                    return
            elif verb == "EHLO":
                offered = ["test", *self.ehlo]
                peer.say(*(f"250-{keyword}" for keyword in offered[:-1]), f"250 {offered[-1]}")
            elif verb == "DATA":
                peer.say("354 Go ahead")
                self.bodies.append(peer.hear_body())
                peer.say(self.end)
            elif verb == "QUIT":
                with suppress(ConnectionError):  # whoever says good-bye need not hear it
                    peer.say("221 2.0.0 Bye")
                return
            else:
                peer.say("250 2.0.0 OK")


@contextmanager
def _serving(handler: Callable[[Peer], None]) -> Iterator[int]:
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                connection.settimeout(DEADLINE)
                with connection:
                    peer = Peer(connection)
                    try:
                        handler(peer)
                    finally:
                        peer.file.close()
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(DEADLINE)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Peer], None]], int]]:
    """Start a server for one connection; gives its port. Its failures are the test's."""
    with ExitStack() as servers:
        yield lambda handler: servers.enter_context(_serving(handler))


@pytest.fixture
def answers() -> Answers:
    return Answers()
