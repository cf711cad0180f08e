"""A session belongs to no process: workers die at every place of it, and the client sees its normal replies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import mailboxes
from tests.conditions import wait_until
from tests.stack import Connection, Stack

pytestmark = pytest.mark.stack
SETTINGS = {"LOG_LEVEL": "DEBUG"}

SESSION = [
    ("HELO gmail.com", "250 "),
    ("MAIL FROM:<someone@gmail.com>", "250 2.1.0 "),
    ("RCPT TO:<maria@example.com>", "250 2.1.5 "),
    ("RCPT TO:<ana@example.org>", "250 2.1.5 "),
    ("DATA", "354 "),
    ("Subject: hello\r\n\r\nFrom me\r\n..dot\r\n.", "250 2.0.0 "),
    ("QUIT", "221 2.0.0 "),
]


def replace(stack: Stack, name: str) -> None:
    stack.kill(name)
    stack.start(name)


def wait_for_question(stack: Stack, kind: str) -> None:
    asked = f"asks the store: {kind}"
    wait_until(lambda: any(asked in stack.log(name) for name in stack.worker_names), f"a worker {asked}")


def check_stored_once(stack: Stack, text: bytes, *addresses: str) -> None:
    for address in addresses:
        stored = mailboxes.read(stack.mailboxes / f"{address}.txt")
        assert [message.text for message in stored] == [text], address


@pytest.mark.parametrize(
    "victims", [["session_worker-1"], ["session_worker-2"], ["session_worker-1", "session_worker-2"]]
)
def test_workers_killed_before_every_line_cost_a_typed_session_nothing(stack: Stack, victims: list[str]) -> None:
    with stack.connect() as client:
        assert client.reply().startswith("220 ")
        for line, expected in SESSION:
            for victim in victims:
                replace(stack, victim)
            assert client.command(line).startswith(expected)
        check_stored_once(stack, b"Subject: hello\n\nFrom me\n.dot\n", "maria@example.com", "ana@example.org")


def test_workers_killed_in_the_middle_of_data_cost_nothing(stack: Stack) -> None:
    with stack.connect() as client:
        client.begin()
        client.send(b"Subject: half\r\n\r\nfirst half\r\n")
        for name in stack.worker_names:
            replace(stack, name)
        client.send(b"second half\r\n.")
        for name in stack.worker_names:
            replace(stack, name)
        client.send(b"\r\n")
        assert client.reply().startswith("250 2.0.0 ")
        check_stored_once(stack, b"Subject: half\n\nfirst half\nsecond half\n", "maria@example.com")


def test_workers_killed_between_the_pieces_of_a_large_message_cost_nothing(stack: Stack) -> None:
    line = b"x" * 70 + b"\r\n"
    with stack.connect() as client:
        client.begin()
        client.send(b"Subject: large\r\n\r\n")
        for name in stack.worker_names * 2:
            client.send(line * 20_000)
            replace(stack, name)
        client.send(b".\r\n")
        assert client.reply().startswith("250 2.0.0 ")
        text = b"Subject: large\n\n" + (b"x" * 70 + b"\n") * 80_000
        check_stored_once(stack, text, "maria@example.com")


@pytest.mark.parametrize("size", [100, 2_500_000], ids=["small", "in pieces"])
def test_every_worker_killed_between_the_final_dot_and_its_250_stores_once(stack: Stack, size: int) -> None:
    text = b"Subject: once\n\n" + b"y" * 60 + b"\n"
    text += (b"z" * 69 + b"\n") * (size // 70)
    with stack.connect() as client:
        client.begin()
        with stack.stopped("mailbox_store"):
            client.send(text.replace(b"\n", b"\r\n") + b".\r\n")
            wait_for_question(stack, "deliver" if size < 1_000_000 else "stage")
            for name in stack.worker_names:
                replace(stack, name)
        assert client.reply().startswith("250 2.0.0 ")
        check_stored_once(stack, text, "maria@example.com")


def test_a_worker_that_hangs_is_passed_over_and_its_late_answers_are_dropped(stack: Stack) -> None:
    with stack.connect() as client:
        assert client.reply().startswith("220 ")
        for hung in stack.worker_names:
            with stack.stopped(hung):
                for line, expected in SESSION[:-1]:
                    assert client.command(line).startswith(expected)
        # Both have their old steps answered by now, and neither answer reaches the client a second time.
        assert client.command("NOOP").startswith("250 2.0.0 ")
        assert client.command("QUIT").startswith("221 2.0.0 ")
        assert client.reply() == ""
        assert len(mailboxes.read(stack.mailboxes / "maria@example.com.txt")) == 2


def test_without_any_worker_the_client_waits_until_one_is_there(folder: Path) -> None:
    with Stack(folder, workers=1) as stack, stack.connect() as client:
        assert client.reply().startswith("220 ")
        stack.kill("session_worker-1")
        client.send(b"EHLO client.example.net\r\n")
        with Connection(stack.port) as other:
            stack.start("session_worker-1")
            assert client.reply().startswith("250-")
            assert other.reply().startswith("220 ")


def test_without_any_worker_for_too_long_the_client_is_told(folder: Path) -> None:
    with Stack(folder, workers=1, NO_WORKER_SECONDS="2") as stack, stack.connect() as client:
        assert client.reply().startswith("220 ")
        stack.kill("session_worker-1")
        assert client.command("NOOP").startswith("421 4.3.2 ")
        assert client.reply() == ""
        stack.start("session_worker-1")


def test_the_store_killed_between_the_final_dot_and_its_250_stores_once(stack: Stack) -> None:
    with stack.connect() as client:
        client.begin()
        with stack.stopped("mailbox_store"):
            client.send(b"Subject: restart\r\n\r\nanything\r\n.\r\n")
            wait_for_question(stack, "deliver")
            stack.kill("mailbox_store")
            stack.start("mailbox_store")
        assert client.reply().startswith("250 2.0.0 ")
        check_stored_once(stack, b"Subject: restart\n\nanything\n", "maria@example.com")
