"""Bounded under attack: what a client does costs the others little, and the server no more than was told."""

from __future__ import annotations

import re
import resource
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conditions import wait_until
from tests.faults.background import MARIA, USERS, load, without_errors
from tests.faults.peaks import peaks
from tests.faults.test_bounds import MIB
from tests.stack import Connection, Stack
from wire.limits import MAX_PIECE

pytestmark = pytest.mark.stack
# Of the stack that several tests share.
SETTINGS = {"users": USERS, "CONVERSATION": "off", "MAX_MESSAGE_BYTES": str(2 * MIB)}

# What a client may wait for a reply while others attack.
PAUSE = 2.0
BEGIN = f"EHLO client.example.net\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<{MARIA}>\r\nDATA\r\n".encode()


@contextmanager
def bounded(stack: Stack, **most: float) -> Iterator[None]:
    """Check that no service's peak memory grows by more than it may, in MiB, during the block."""
    before = peaks(stack.pids())
    yield
    growth = {name: (peak - before[name]) / MIB for name, peak in peaks(stack.pids()).items()}
    print({name: f"+{mib:.1f} MiB" for name, mib in growth.items()})
    for name, mib in growth.items():
        assert mib < most[name.partition("-")[0]], growth


def warm_up(stack: Stack) -> None:
    """Let every service, and both workers, have done each kind of work: a large message, and refusals."""
    for refusals in range(8):
        with stack.connect() as client:
            client.begin(MARIA)
            client.send(b"w" * 70 * 10_000 + b"\r\n" + (b"w" * 70 + b"\r\n") * 10_000 + b".\r\n")
            assert client.reply().startswith("250 ")
            # So many, for the workers take turns, and each is to have a first piece.
            for number in range(refusals % 4 + 1):
                assert client.command(f"NONSENSE{number}").startswith("500 ")


def flood(stack: Stack, commands: bytes, times: int) -> Counter[str]:
    """Send commands of a transaction again and again while reading replies; gives the replies by their codes."""
    with stack.connect() as client:
        client.reply()
        client.command("EHLO a.example.net")
        writer = threading.Thread(
            target=client.send, args=(b"MAIL FROM:<a@example.net>\r\n" + commands * times + b"QUIT\r\n",)
        )
        writer.start()
        replies = Counter(" ".join(reply.split()[:2]) for reply in iter(client.reply, ""))
        writer.join()
        return replies


# ---------------------------------------------------------------- slow ones


def test_clients_that_dribble_are_served_and_hold_up_nobody_and_silent_ones_are_closed(folder: Path) -> None:
    with Stack(folder, users=USERS, CONVERSATION="off", IDLE_SECONDS="2.5") as stack, load(stack) as under_way:
        dribblers = [stack.connect() for _ in range(200)]
        silent = stack.connect()
        for client in [*dribblers, silent]:
            assert client.reply().startswith("220 ")
        begun = time.monotonic()
        for number, octet in enumerate(b"NOOP\r\n"):
            wait_until(lambda number=number: time.monotonic() >= begun + number, "the next second")
            for client in dribblers:
                client.send(bytes([octet]))
        for client in dribblers:
            assert client.reply().startswith("250 2.0.0 ")
            client.socket.close()
        assert silent.reply().startswith("421 4.4.2 ")
        assert silent.reply() == ""
        silent.socket.close()
    assert without_errors(under_way.journal), under_way.journal.errors
    assert under_way.journal.longest_pause < PAUSE


def test_clients_that_never_read_cost_bounded_memory_and_are_closed(folder: Path) -> None:
    clients = 50
    with Stack(folder, users=USERS, CONVERSATION="off", IDLE_SECONDS="2") as stack:
        warm_up(stack)
        with bounded(stack, gateway=clients * 0.5, session_worker=12, mailbox_store=4), load(stack) as under_way:
            deaf = [stack.connect() for _ in range(clients)]
            pushed = 0
            selector = selectors.DefaultSelector()
            for client in deaf:
                # What its own system would keep for it is no concern of the server.
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                client.socket.setblocking(False)
                selector.register(client.socket, selectors.EVENT_WRITE)
            end = time.monotonic() + 20
            # Each pushes on until it is cut off.
            while selector.get_map():
                assert time.monotonic() < end, f"{len(selector.get_map())} clients that do not read are still there"
                for key, _ in selector.select(0.1):
                    try:
                        pushed += key.fileobj.send(b"HELP\r\n" * 10_000)  # type: ignore[union-attr]
                    except BlockingIOError:
                        pass
                    except OSError:
                        selector.unregister(key.fileobj)
            print(f"{clients} clients pushed {pushed / MIB:.1f} MiB and read nothing")
            for client in deaf:
                client.socket.close()
    assert without_errors(under_way.journal), under_way.journal.errors
    assert under_way.journal.longest_pause < PAUSE


# ---------------------------------------------------------------- ones that vanish


def reset(client: Connection) -> None:
    """Have the connection reset when it is closed (SO_LINGER of no time, socket(7))."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_client_that_vanishes_after_any_octet_leaves_nothing_or_the_whole_message(folder: Path) -> None:
    script = BEGIN.replace(b"<a@", b"<x0000@") + b"Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"
    final_dot = len(script) - len(b"QUIT\r\n")
    acknowledged = set()
    with Stack(folder, users=USERS) as stack:
        for length in range(len(script) + 1):
            # It says that it will send no more, and reads on: what it has said is answered, and then the end comes.
            with stack.connect() as client:
                client.send(script.replace(b"x0", b"f0").replace(b"0000", b"%04d" % length)[:length])
                client.socket.shutdown(socket.SHUT_WR)
                replies = list(iter(client.reply, ""))
            if replies[-1 if length < len(script) else -2].startswith("250 2.0.0 Message"):
                acknowledged.add(b"f%04d" % length)
            # It is gone without a word: its connection is reset.
            with stack.connect() as client:
                reset(client)
                client.send(script.replace(b"x0", b"r0").replace(b"0000", b"%04d" % length)[:length])
        sessions = 2 * (len(script) + 1)
        wait_until(lambda: stack.log("gateway").count(" closed: ") >= sessions, "all connections are closed")
        assert acknowledged == {b"f%04d" % length for length in range(final_dot, len(script) + 1)}
        assert stack.terminate("mailbox_store") == 0
        stack.start("mailbox_store")
        messages = stack.mailbox(MARIA).split(b"\nReturn-Path: <")[1:]
        senders = [message[:5] for message in messages]
        assert len(senders) == len(set(senders))
        # One that was reset may have been read to its end before: then it is there, and whole.
        assert acknowledged <= set(senders) <= acknowledged | {b"r" + name[1:] for name in acknowledged}
        assert all(b"\nSubject: x\n\n.dot\n" in message for message in messages)


def test_a_client_that_vanishes_in_a_large_message_leaves_no_piece_of_it(folder: Path) -> None:
    with Stack(folder, users=USERS, LOG_LEVEL="DEBUG") as stack:
        for number, size in enumerate((1, MAX_PIECE - 1024, MAX_PIECE, MAX_PIECE + 50_000, 5 * MAX_PIECE // 2)):
            client = stack.connect()
            client.begin(MARIA)
            client.send((b"x" * 71 + b"\r\n") * (size // 73 + 1))
            if number % 2:
                reset(client)
            client.socket.close()
        # One more than those: the connection that found the stack ready.
        wait_until(lambda: stack.log("gateway").count(" closed: ") >= 6, "all are gone")

        def calls(kind: str) -> set[str]:
            logs = "".join(stack.log(name) for name in stack.worker_names)
            return set(re.findall(rf"(\S+): asks the store: {kind}", logs))

        wait_until(lambda: calls("stage") and calls("stage") <= calls("discard"), "every staged piece is discarded")
        assert not calls("deliver")
        assert stack.mailbox(MARIA) == b""


# ---------------------------------------------------------------- ones that send without end


def test_a_line_of_100_mb_is_refused_at_its_end_and_costs_no_memory(stack: Stack) -> None:
    warm_up(stack)
    with bounded(stack, gateway=4, session_worker=2, mailbox_store=2), stack.connect() as client:
        assert client.reply().startswith("220 ")
        for _ in range(100):
            client.send(b"x" * 1_000_000)
        assert client.command("").startswith("500 5.5.2 Line too long")
        assert client.command("NOOP").startswith("250 2.0.0 ")


@pytest.mark.parametrize(
    "text",
    [b"x" * MIB, (b"X-Endless: " + b"x" * 60 + b"\r\n") * 14_000, b"\r\n" * (MIB // 2), b".\n" * (MIB // 2)],
    ids=["a line", "headers", "empty lines", "bare dots"],
)
def test_a_message_over_the_limit_is_read_to_its_end_and_costs_no_memory(stack: Stack, text: bytes) -> None:
    warm_up(stack)
    box = stack.mailbox(MARIA)
    with bounded(stack, gateway=4, session_worker=4, mailbox_store=6), stack.connect() as client:
        client.begin(MARIA)
        for _ in range(50):
            client.send(text)
        assert client.command("\r\n.").startswith("552 5.3.4 ")
        # The session is in step.
        assert client.command("MAIL FROM:<b@example.net>").startswith("250 2.1.0 ")
    assert stack.mailbox(MARIA) == box


def test_a_hundred_thousand_rcpt_commands_are_all_answered_and_hold_up_nobody(folder: Path) -> None:
    boxes = [f"box{number}@example.com" for number in range(1100)]
    with Stack(folder, users=USERS + "\n".join(boxes) + "\n", CONVERSATION="off") as stack:
        warm_up(stack)
        # All of them at first, then over and over again: those over the limit, and those known already.
        rcpt = "".join(f"RCPT TO:<{box}>\r\n" for box in boxes).encode()
        with bounded(stack, gateway=10, session_worker=10, mailbox_store=4), ThreadPoolExecutor(10) as pool:
            begun = time.monotonic()
            floods = [pool.submit(flood, stack, rcpt, 10) for _ in range(10)]
            longest = 0.0
            while not all(each.done() for each in floods):
                asked = time.monotonic()
                assert stack.takes_mail()
                longest = max(longest, time.monotonic() - asked)
            replies = sum((each.result() for each in floods), Counter())
            print(f"110,000 RCPT in {time.monotonic() - begun:.1f} s; the longest other session: {longest:.2f} s")
        assert replies == {"250 2.1.0": 10, "250 2.1.5": 100_000, "452 4.5.3": 10_000, "221 2.0.0": 10}
        assert longest < PAUSE


@pytest.mark.parametrize(
    "line", [b"\r\n", b"NONSENSE\r\n", b"\x00\xff\r\n", b"\n" * 100], ids=["CRLF", "words", "octets", "LF"]
)
def test_errors_without_end_end_the_session(stack: Stack, line: bytes) -> None:
    with stack.connect() as client, suppress(ConnectionError):
        assert client.reply().startswith("220 ")
        client.send(line * 1000)
        replies = [reply[:9] for reply in iter(client.line, b"")]
        assert replies == [b"500 5.5.2"] * 20 + [b"421 4.7.0"]


# ---------------------------------------------------------------- very many


def cpu_seconds(stack: Stack, name: str) -> float:
    """What a service has used so far."""
    fields = Path(f"/proc/{stack.processes[name].pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # USER_HZ, proc(5)


def memory(stack: Stack) -> dict[str, float]:
    """The resident size of each service, in MiB."""
    sizes = {}
    for name, process in stack.processes.items():
        status = Path(f"/proc/{process.pid}/status").read_text()
        sizes[name] = round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)
    return sizes


def test_5000_idle_sessions_cost_the_workers_nothing_and_200_active_ones_are_served(folder: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Stack(folder, users=USERS, CONVERSATION="off") as stack:
        warm_up(stack)
        alone = memory(stack)
        idle = [stack.connect() for _ in range(5000)]
        for client in idle:
            assert client.reply().startswith("220 ")
        print(f"memory with no session {alone}, with 5,000 idle ones {memory(stack)} MiB")
        before = {name: cpu_seconds(stack, name) for name in stack.worker_names}
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 3, "3 seconds are over")
        used = {name: (cpu_seconds(stack, name) - before[name]) / 3 for name in stack.worker_names}
        print(f"workers use of a processor with 5,000 idle sessions: {used}")
        assert max(used.values()) < 0.03, used
        with load(stack, connections=200) as under_way:
            under_way.wait_for(400)
        assert len({sent.number % 1000 for sent in under_way.journal.acknowledged}) == 200
        print(f"memory after 200 active ones {memory(stack)} MiB")
        assert memory(stack)["gateway"] - alone["gateway"] < 5000 * 8 / 1024
        for client in idle[::100]:
            assert client.command("NOOP").startswith("250 2.0.0 ")
        for client in idle:
            client.socket.close()
    assert without_errors(under_way.journal), under_way.journal.errors
