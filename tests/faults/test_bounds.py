"""Bounded: what a large message, many users or many connections cost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests import mailboxes
from tests.faults.peaks import peaks
from tests.stack import Stack
from wire.limits import MAX_PIECE

pytestmark = pytest.mark.stack

MIB = 1024 * 1024


def send(stack: Stack, text: bytes, recipient: str = "maria@example.com") -> None:
    with stack.connect() as client:
        client.begin(recipient)
        client.send(text.replace(b"\n", b"\r\n") + b".\r\n")
        assert client.reply().startswith("250 2.0.0 ")


def test_a_message_of_25_mib_costs_no_service_more_than_a_few_pieces(folder: Path) -> None:
    with Stack(folder) as stack:
        # What messages of two pieces lead to (caches, buffers, memory that is kept for the next one) is there before
        # the large one comes, in both workers.
        for pieces in (2, 3) * 6:
            send(stack, (b"w" * 69 + b"\n") * (pieces * MAX_PIECE // 70))
        before = peaks(stack.pids())
        text = b"Subject: 25 MiB\n\n" + (b"x" * 69 + b"\n") * (25 * MIB // 70)
        send(stack, text)
        growth = {name: peak - before[name] for name, peak in peaks(stack.pids()).items()}
        print({name: f"{octets / MIB:.1f} MiB" for name, octets in growth.items()})
        assert max(growth.values()) < 3 * MAX_PIECE, growth
        assert mailboxes.read(stack.mailboxes / "maria@example.com.txt")[-1].text == text


def test_a_hundred_thousand_users_start_at_once_and_cost_a_delivery_nothing(folder: Path) -> None:
    users = "".join(f"user{number}@example.com\n" for number in range(100_000))
    with Stack(folder, users=users) as stack:
        assert stack.mailbox("user99999@example.com") == b""
        assert stack.terminate("mailbox_store") == 0
        started = time.monotonic()
        stack.start("mailbox_store")
        send(stack, b"hello\n", "user99999@example.com")
        print(f"store of 100,000 users: first mail {time.monotonic() - started:.2f} s after its start")
        assert len(mailboxes.read(stack.mailboxes / "user99999@example.com.txt")) == 1
