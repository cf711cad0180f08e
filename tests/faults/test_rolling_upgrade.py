"""Everything is replaced while it is used: workers by newer ones in mid-session, the store, the gateway."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from session_worker.dialogue.state import VERSION
from tests import mailboxes
from tests.conditions import wait_until
from tests.faults import programs
from tests.faults.background import MARIA, USERS, Load, load, without_errors
from tests.stack import Connection, Stack

pytestmark = pytest.mark.stack

# What a person takes for a hiccup, not for a failure.
PAUSE = 2.0
# A release whose states no older one can read: a field has another name.
NEWER = """
import msgpack
from session_worker.dialogue import state
NEWER = state.VERSION + 1
def encode(session, real=state.encode):
    packed = msgpack.unpackb(real(session)) | {"version": NEWER}
    if "hello" in packed:
        packed["name"] = packed.pop("hello")
    return msgpack.packb(packed)
def decode(octets, carried, real=state.decode):
    packed = msgpack.unpackb(octets)
    if packed["version"] == NEWER:
        packed["version"] = state.VERSION
        if "name" in packed:
            packed["hello"] = packed.pop("name")
    return real(msgpack.packb(packed), carried)
state.encode, state.decode = encode, decode
"""
# What a client says, the reply it waits for, line by line; messages of which parts come in several steps.
_LINE = b"x" * 70 + b"\r\n"
SCRIPT: list[tuple[bytes, str]] = [
    (b"EHLO client.example.net\r\n", "250-"),
    (b"NOOP\r\n", "250 2.0.0 "),
    (b"MAIL FROM:<a@example.net>\r\n", "250 2.1.0 "),
    (f"RCPT TO:<{MARIA}>\r\n".encode(), "250 2.1.5 "),
    (b"DATA\r\n", "354 "),
    (b"Subject: small\r\n\r\nfirst half\r\n", ""),
    (b"second half\r\n.\r\n", "250 2.0.0 "),
    (b"MAIL FROM:<b@example.net>\r\n", "250 2.1.0 "),
    (f"RCPT TO:<{MARIA}>\r\n".encode(), "250 2.1.5 "),
    (b"DATA\r\n", "354 "),
    (b"Subject: large\r\n\r\n" + _LINE * 5000, ""),
    (_LINE * 5000, ""),
    (_LINE * 5000, ""),
    (b".\r\n", "250 2.0.0 "),
    (b"RSET\r\n", "250 2.0.0 "),
    (b"QUIT\r\n", "221 2.0.0 "),
]
TEXTS = [
    b"Subject: small\n\nfirst half\nsecond half\n",
    b"Subject: large\n\n" + (b"x" * 70 + b"\n") * 15_000,
]


class Typed:
    """A session that goes through SCRIPT, some steps at a time."""

    def __init__(self, stack: Stack) -> None:
        self._connection = Connection(stack.port)
        assert self._connection.reply().startswith("220 ")
        self._script = iter(SCRIPT)

    def go_on(self, steps: int | None = None) -> None:
        """Do some more steps; None for the rest."""
        for said, expected in itertools.islice(self._script, steps):
            self._connection.send(said)
            if expected:
                reply = self._connection.reply()
                assert reply.startswith(expected), (said[:40], reply)

    def close(self) -> None:
        self._connection.socket.close()


def newer(folder: Path) -> str:
    return programs.worker(NEWER, folder / "flag")


def replace(stack: Stack, name: str, under_way: Load, program: str = "") -> None:
    """Stop a worker in order and start another; return when that one is here."""
    here = stack.log("gateway").count(" is here")
    assert stack.terminate(name) == 0
    stack.start(name, program)
    wait_until(lambda: stack.log("gateway").count(" is here") > here, f"{name} is here")
    under_way.wait_for(5)


def test_workers_of_two_versions_serve_one_session_together(folder: Path) -> None:
    with Stack(folder, users=USERS) as stack:
        older_one, newer_one = stack.worker_names
        # One of them is enough for the stack to take mail.
        wait_until(lambda: stack.log("gateway").count(" is here") == 2, "both workers are here")
        stack.terminate(newer_one)
        stack.start(newer_one, newer(folder))
        wait_until(lambda: stack.log("gateway").count(" is here") == 3, "the newer worker is here")
        # Steps go to idle workers in turn: an odd number of sessions, so that each meets both.
        sessions = [Typed(stack) for _ in range(3)]
        for _ in SCRIPT:
            for session in sessions:
                session.go_on(1)
        for session in sessions:
            session.close()
        texts = [message.text for message in mailboxes.read(stack.mailboxes / f"{MARIA}.txt")]
        assert sorted(texts) == sorted(TEXTS * 3)
        assert f"handed back: version {VERSION + 1}, this worker knows {VERSION}" in stack.log(older_one)
        assert "delivered to" in stack.log(newer_one)


def test_workers_of_two_versions_serve_a_load_without_an_error(folder: Path) -> None:
    with Stack(folder, workers=3, users=USERS, CONVERSATION="off") as stack, load(stack) as under_way:
        replace(stack, stack.worker_names[0], under_way, newer(folder))
        under_way.wait_for(300)
    assert without_errors(under_way.journal), under_way.journal.errors
    assert under_way.journal.longest_pause < PAUSE


def test_all_workers_are_replaced_by_newer_ones_in_the_middle_of_sessions_and_under_load(folder: Path) -> None:
    with Stack(folder, workers=2, users=USERS, CONVERSATION="off") as stack:
        # One session stands at each place of the script while the workers change under it.
        sessions = [Typed(stack) for _ in SCRIPT]
        with load(stack) as under_way:
            for place, session in enumerate(sessions):
                session.go_on(place)
            for name in stack.worker_names:
                replace(stack, name, under_way, newer(folder))
            for session in sessions:
                session.go_on(1)
            for name in stack.worker_names:
                replace(stack, name, under_way, newer(folder))
            for session in sessions:
                session.go_on()
                session.close()
            ours = dict.fromkeys(TEXTS, 0)
        for message in mailboxes.read(stack.mailboxes / f"{MARIA}.txt"):
            if message.text in ours:
                ours[message.text] += 1
        assert list(ours.values()) == [len(SCRIPT)] * 2
    assert without_errors(under_way.journal), under_way.journal.errors
    assert under_way.journal.longest_pause < PAUSE


def test_after_a_way_back_to_older_workers_only_sessions_of_the_newer_ones_are_closed(folder: Path) -> None:
    with Stack(folder, workers=1, users=USERS, NO_WORKER_SECONDS="1") as stack:
        untouched = Typed(stack)
        untouched.go_on(3)
        stack.terminate("session_worker-1")
        stack.start("session_worker-1", newer(folder))
        wait_until(stack.takes_mail, "the newer worker serves")
        with Connection(stack.port) as touched:
            assert touched.reply().startswith("220 ")
            assert touched.command("HELO example.net").startswith("250 ")
            stack.terminate("session_worker-1")
            stack.start("session_worker-1")
            wait_until(stack.takes_mail, "the older worker serves")
            assert touched.command("MAIL FROM:<a@example.net>").startswith("421 4.3.2 ")
        untouched.go_on()
        untouched.close()


def test_a_store_that_is_restarted_under_load_costs_no_error_and_no_long_pause(folder: Path) -> None:
    with Stack(folder, users=USERS, CONVERSATION="off") as stack, load(stack, connections=20) as under_way:
        for _ in range(3):
            under_way.wait_for(50)
            assert stack.terminate("mailbox_store") == 0
            stack.start("mailbox_store")
    assert without_errors(under_way.journal), under_way.journal.errors
    assert under_way.journal.longest_pause < 2 * PAUSE


def test_a_gateway_that_is_restarted_under_load_lets_transactions_end_and_loses_nothing(folder: Path) -> None:
    with Stack(folder, users=USERS, CONVERSATION="off") as stack:
        in_transaction = Typed(stack)
        in_transaction.go_on(6)
        with load(stack) as under_way:
            stack.processes["gateway"].terminate()
            wait_until(lambda: "shutting down" in stack.log("gateway"), "the gateway shuts down")
            in_transaction.go_on(1)
            in_transaction.close()
            stack.processes["gateway"].wait(30)
            stack.start("gateway")
            under_way.wait_for(50)
        assert under_way.journal.errors.keys() <= {"421 4.3.2"}
        texts = [message.text for message in mailboxes.read(stack.mailboxes / f"{MARIA}.txt")]
        assert TEXTS[0] in texts
