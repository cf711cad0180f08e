"""Thousands of clients that are each in the middle of a large message and send it at the same moment.

A few end their message and want to hear their 250; the others vanish, as clients do whose user gives up.
"""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.load import Journal, Sent, reverse_path, stuffed, text

SIZE = 900 * 1024
# Numbers of its messages, which no sender comes to.
_FIRST = 10**9
# Of so many clients one ends its message.
_ENDS = 30
# Of each that sends, at a time: nobody's whole message is in the system before the others have begun.
_AT_ONCE = 64 * 1024
# A deadline that only a defect reaches; 3,000 take some 20 s on a free machine.
DEADLINE = 240.0


@dataclass(eq=False)
class _Client:
    sent: Sent
    socket: socket.socket
    octets: memoryview
    offset: int = 0
    heard: bytes = b""


def large_crowd(journal: Journal, port: int, addresses: list[str], clients: int) -> None:
    """Be that crowd, once; returns when all have ended. To be called in a thread.

    :param journal: what they sent, and what went wrong, is noted there.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    first = _FIRST + sum(number >= _FIRST for number in list(journal.sent))
    shared = memoryview(stuffed(text(journal.seed, first, SIZE, SIZE)))
    crowd = []
    for number in range(first, first + clients):
        sent = journal.sent[number] = Sent(number, (addresses[number % len(addresses)],), size=SIZE)
        ends = number % _ENDS == 0
        octets = memoryview(stuffed(text(journal.seed, number, SIZE, SIZE))) if ends else shared
        crowd.append(_Client(sent, socket.create_connection(("127.0.0.1", port), DEADLINE), octets))
    try:
        _all(crowd, journal, selectors.EVENT_READ, _begin(crowd))
        _all(crowd, journal, selectors.EVENT_WRITE, _push)
        ending = [client for client in crowd if client.sent.number % _ENDS == 0 and not client.sent.refusal]
        for client in ending:
            client.heard = b""
            client.socket.setblocking(True)
            client.socket.sendall(client.octets[-3:])
            client.socket.setblocking(False)
        _all(ending, journal, selectors.EVENT_READ, _hear_end)
    finally:
        for client in crowd:
            client.socket.close()


def _begin(crowd: list[_Client]) -> Callable[[_Client], bool]:
    for client in crowd:
        lines = f"EHLO load.example.net\r\nMAIL FROM:<{reverse_path(client.sent.number)}>\r\n"
        client.socket.sendall(f"{lines}RCPT TO:<{client.sent.recipients[0]}>\r\nDATA\r\n".encode())
        client.socket.setblocking(False)

    def hear_start(client: _Client) -> bool:
        return b"\n354 " in _hear(client)

    return hear_start


def _push(client: _Client) -> bool:
    """Send all but the end of data."""
    end = len(client.octets) - 3
    client.offset += client.socket.send(client.octets[client.offset : min(end, client.offset + _AT_ONCE)])
    return client.offset == end


def _hear_end(client: _Client) -> bool:
    if not _hear(client).endswith(b"\n"):
        return False
    if not client.heard.startswith(b"250 "):
        raise ConnectionError(client.heard.decode())
    client.sent.delivery = client.heard.decode().split()[-1]
    return True


def _hear(client: _Client) -> bytes:
    octets = client.socket.recv(65536)
    client.heard += octets
    if not octets or b"\n4" in client.heard or client.heard.startswith(b"4"):
        raise ConnectionError(client.heard.decode().rpartition("\n4")[2] or "closed")
    return client.heard


def _all(crowd: list[_Client], journal: Journal, event: int, do: Callable[[_Client], bool]) -> None:
    """Do something for each client whenever it may be done, until it has been."""
    selector = selectors.DefaultSelector()
    for client in crowd:
        if not client.sent.refusal:
            selector.register(client.socket, event, client)
    end = time.monotonic() + DEADLINE
    while selector.get_map():
        if time.monotonic() > end:
            journal.errors[f"{len(selector.get_map())} of a large crowd were kept waiting"] += 1
            break
        for key, _ in selector.select(1):
            try:
                done = do(key.data)
            except BlockingIOError:
                continue
            except OSError as error:
                key.data.sent.refusal = str(error)
                journal.errors[f"large crowd: {error}"[:40]] += 1
                done = True
            if done:
                selector.unregister(key.fileobj)
    selector.close()
