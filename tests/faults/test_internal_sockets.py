"""Garbage, oversized, forged and replayed frames on the internal sockets while mail flows: counted and dropped."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgpack
import pytest
import zmq

from tests.conditions import wait_until
from tests.faults.background import ADDRESSES, MARIA, USERS, Load, load, without_errors
from tests.faults.peer import StorePeer, deliver, now
from tests.faults.test_bounds import MIB
from tests.stack import Stack
from wire.codec import PROTOCOL, encode
from wire.limits import MAX_ENVELOPE
from wire.messages import (
    Answer,
    Ask,
    Body,
    Close,
    Discard,
    Message,
    ReadLines,
    Stage,
    Step,
    StepDone,
    StepRefused,
    WorkerGone,
)
from wire.outcomes import Delivered

pytestmark = pytest.mark.stack

# What a client may wait for a reply meanwhile.
PAUSE = 2.0
SOCKETS = ["gateway", "store"]


class Stranger:
    """Sends frames to both internal sockets of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._paths = [stack.folder / name for name in SOCKETS]
        self._sockets = []
        for path in self._paths:
            connection = self._context.socket(zmq.DEALER)
            connection.connect(f"ipc://{path}")
            self._sockets.append(connection)

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=1000)

    def send(self, *frames: bytes) -> None:
        for connection in self._sockets:
            connection.send_multipart(frames)

    def say(self, *messages: Message) -> None:
        self.send(*encode(messages))

    def raw(self, octets: bytes) -> None:
        """Send octets that are not even ZeroMQ's."""
        for path in self._paths:
            with socket.socket(socket.AF_UNIX) as connection, suppress(BrokenPipeError, ConnectionResetError):
                connection.connect(str(path))
                connection.sendall(octets)


@contextmanager
def attacked(folder: Path) -> Iterator[tuple[Stack, Load, Stranger]]:
    """A stack under load, and a stranger on its sockets; no client may see an error."""
    with (
        Stack(folder, users=USERS, CONVERSATION="off") as stack,
        load(stack) as under_way,
        Stranger(stack) as stranger,
    ):
        yield stack, under_way, stranger
        assert all(process.poll() is None for process in stack.processes.values())
    assert without_errors(under_way.journal), under_way.journal.errors
    assert under_way.journal.longest_pause < PAUSE


def rejected(stack: Stack, name: str) -> int:
    """How many frames and messages a service says it has dropped."""
    return max((int(number) for number in re.findall(r"\((\d+) so far\)", stack.log(name))), default=0)


def test_garbage_on_the_internal_sockets_harms_nobody_while_mail_flows(folder: Path) -> None:
    dice = random.Random(5)
    with attacked(folder) as (stack, under_way, stranger):
        for _ in range(50):
            stranger.send(*(dice.randbytes(dice.randint(0, 200)) for _ in range(dice.randint(1, 5))))
            stranger.send(PROTOCOL, dice.randbytes(dice.randint(0, 200)))
            stranger.raw(dice.randbytes(dice.randint(1, 500)))
        # What is right but for one octet.
        frames = encode([Ask(1, now() + 60_000, Discard("nobody-1.1")), Step("x", 0, 0, b"", Body(b"", 0, True))])
        for place in range(len(frames[1])):
            broken = bytearray(frames[1])
            broken[place] ^= 0xFF
            stranger.send(frames[0], bytes(broken), *frames[2:])
        stranger.send(PROTOCOL, msgpack.packb([None] * 1_000_000))
        stranger.send(PROTOCOL, b"\x91" * 100_000)
        stranger.send(PROTOCOL, b"\xdf\xff\xff\xff\xff")
        stranger.send(PROTOCOL, bytes(MAX_ENVELOPE))
        stranger.send(PROTOCOL, b"\x90", *[b""] * 10_000)
        wait_until(lambda: all(rejected(stack, name) >= 20 for name in ("gateway", "mailbox_store")), "it is counted")
        under_way.wait_for(50)


def test_a_frame_beyond_all_limits_ends_only_the_connection_it_came_by(folder: Path) -> None:
    with attacked(folder) as (_, under_way, stranger):
        for _ in range(3):
            stranger.send(PROTOCOL, b"\x90", bytes(20 * MIB))
            under_way.wait_for(20)


def test_forged_and_replayed_messages_change_no_session_and_no_mailbox(folder: Path) -> None:
    with attacked(folder) as (stack, _, stranger):
        with stack.connect() as client:
            client.begin(MARIA)
            delivery = client.command("Subject: once\r\n\r\nonce\r\n.").split()[-1]
            session = delivery.partition(".")[0]
            box = stack.mailbox(MARIA)
            for seq in range(10):
                stranger.say(
                    StepDone(session, seq, 0, b"", b"250 forged\r\n", Close()),
                    StepDone(session, seq, 1, b"", b"", ReadLines()),
                    StepRefused(session, seq, "state"),
                    WorkerGone(),
                    Answer(seq, Delivered(False)),
                )
            wait_until(lambda: rejected(stack, "gateway") >= 20, "the gateway has dropped them")
            assert client.command("MAIL FROM:<b@example.net>").startswith("250 2.1.0 ")
        with StorePeer(stack) as peer:
            # The same delivery again, and under its name another text for others, and pieces of it.
            forged = deliver(delivery, [ADDRESSES[0], MARIA], b"forged\n")
            assert peer.ask(forged, Stage(delivery, 0, b"forged"), Discard(delivery))[0] == Delivered(True)
            assert peer.ask(deliver(delivery, ["../users"], b"forged\n")) == [Delivered(True)]
        assert stack.mailbox(MARIA) == box
        assert b"forged" not in stack.mailbox(ADDRESSES[0])
