"""The question whether mail is taken, asked of servers that answer in all sorts of ways."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deploy import smoke
from tests.stack import free_port

GOOD = [
    b"220-hi\r\n220 hi\r\n",
    b"250-a\r\n250-b\r\n250 c\r\n",
    b"250 ok\r\n",
    b"250 ok\r\n",
    b"250 ok\r\n",
    b"221 bye\r\n",
]


@contextmanager
def server(replies: list[bytes]) -> Iterator[int]:
    """Sends the first reply at once and each further one for a line received; then closes."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            for number, reply in enumerate(replies):
                if number:
                    lines.readline()
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_a_server_that_accepts_a_recipient_takes_mail() -> None:
    with server(GOOD) as port:
        assert smoke.why_not("127.0.0.1", port, 10) is None


def test_the_first_refusal_is_the_reason() -> None:
    with server([*GOOD[:3], b"450 4.3.0 later\r\n"]) as port:
        assert smoke.why_not("127.0.0.1", port, 10) == "RCPT TO:<postmaster> was answered '450 4.3.0 later'"


def test_a_server_that_closes_takes_no_mail() -> None:
    with server([]) as port:
        assert smoke.why_not("127.0.0.1", port, 10) in (
            "the greeting was '(connection closed)'",
            f"127.0.0.1 port {port}: Connection reset by peer",
        )


def test_nobody_listening_is_a_reason() -> None:
    port = free_port()
    assert smoke.why_not("127.0.0.1", port, 10) == f"127.0.0.1 port {port}: Connection refused"


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert smoke.why_not("127.0.0.1", port, 0.1) == f"127.0.0.1 port {port}: timed out"
