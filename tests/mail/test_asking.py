"""The question whether mail is taken, asked of servers that answer in all sorts of ways."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import pytest

from deploy.start import why_no_mail
from mail.asking import over, why_not
from tests.stack import free_port

GOOD = [
    b"220-hi\r\n220 hi\r\n",
    b"250-a\r\n250-b\r\n250 c\r\n",
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


def test_a_server_that_accepts_a_recipient_takes_mail_and_gets_none() -> None:
    told = []
    with server(GOOD) as port, socket.create_connection(("127.0.0.1", port), 10) as asks, asks.makefile("rb") as said:
        ask = over(asks.sendall, said)
        assert why_not(lambda line: told.append((line, ask(line))) or told[-1][1]) == ""
    assert told == [
        ("", "220 hi"),
        ("EHLO localhost", "250 c"),
        ("MAIL FROM:<>", "250 ok"),
        ("RCPT TO:<postmaster>", "250 ok"),
        ("QUIT", "221 bye"),
    ]


def test_an_address_that_is_not_ascii_is_asked_for_with_its_extension() -> None:
    sent: list[bytes] = []
    assert why_not(over(sent.append, BytesIO(b"".join(GOOD))), "joão@example.org") == ""
    assert sent[1:3] == [b"MAIL FROM:<> SMTPUTF8\r\n", "RCPT TO:<joão@example.org>\r\n".encode()]


def test_a_server_without_ehlo_may_take_mail() -> None:
    assert why_not(over(lambda _: None, BytesIO(b"".join([GOOD[0], b"502 what?\r\n", *GOOD[2:]])))) == ""


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([b"554 no\r\n"], "the greeting is a refusal: 554 no"),
        ([*GOOD[:1], b"421 going\r\n"], "EHLO localhost was answered: 421 going"),
        ([*GOOD[:3], b"450-4.3.0 the\r\n450 4.3.0 later\r\n"], "RCPT TO:<postmaster> was answered: 450 4.3.0 later"),
    ],
)
def test_the_first_refusal_is_the_reason(replies: list[bytes], reason: str) -> None:
    with server(replies) as port:
        assert why_no_mail("127.0.0.1", port, 10) == reason


def test_a_server_that_closes_takes_no_mail() -> None:
    with server([]) as port:
        assert why_no_mail("127.0.0.1", port, 10) in (
            f"127.0.0.1 port {port}: the server closed the connection",
            f"127.0.0.1 port {port}: Connection reset by peer",
        )


def test_what_it_says_to_quit_changes_nothing() -> None:
    assert why_not(over(lambda _: None, BytesIO(b"".join(GOOD[:4])))) == ""


def test_a_reply_without_an_end_is_not_listened_to_for_ever() -> None:
    replies = BytesIO(b"554-more\r\n" * 1000)
    assert why_not(over(lambda _: None, replies)) == "the greeting is a refusal: 554-more"
    assert replies.tell() == 100 * len(b"554-more\r\n")


def test_nobody_listening_is_a_reason() -> None:
    port = free_port()
    assert why_no_mail("127.0.0.1", port, 10) == f"127.0.0.1 port {port}: Connection refused"


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert why_no_mail("127.0.0.1", port, 0.1) == f"127.0.0.1 port {port}: timed out"
