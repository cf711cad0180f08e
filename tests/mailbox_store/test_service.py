"""The store as a process, on its socket: outcomes, garbage, signals, and kill -9 again and again."""

from __future__ import annotations

import mailbox
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import zmq

from mailbox_store.metrics import Totals
from mailbox_store.service import StoreService
from mailbox_store.store import Store
from mailbox_store.users.directory import Directory
from runtime.bus import open_socket
from runtime.lists import ListContext
from tests.conditions import wait_until
from tests.mailbox_store.fakes import FixedUsers, MemoryFiles
from wire.codec import PROTOCOL, decode, encode
from wire.messages import Answer, Ask, Deliver, Lookup, Message, Ping, Pong, Question, Stage, WorkerGone
from wire.outcomes import Delivered, Found, Outcome
from wire.records import replace

BOXES = ["ana@b.example", "bob@b.example", "eva@b.example"]
ROOT = Path(__file__).parents[2]


class StoreProcess:
    """The store in a folder, started as often as a test likes."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        (folder / "users.txt").write_text("\n".join(BOXES))
        self.env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "STORE_ENDPOINT": f"ipc://{folder}/store",
            "READY_FILE": "ready",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mailbox_store"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(10)

    def run(self) -> tuple[int, str]:
        """Run it to its end, which must come by itself; gives the exit status and what stderr said."""
        done = subprocess.run(
            [sys.executable, "-m", "mailbox_store"], cwd=self.folder, env=self.env, capture_output=True, timeout=20
        )
        return done.returncode, done.stderr.decode()


@pytest.fixture
def store(folder: Path) -> Iterator[StoreProcess]:
    process = StoreProcess(folder)
    process.start()
    yield process
    if process.process and process.process.poll() is None:
        process.process.kill()
        process.process.wait()


class Worker:
    """A worker's side of the store bus."""

    def __init__(self, folder: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = open_socket(self.context, zmq.DEALER, os.urandom(4).hex().encode())
        self.socket.connect(f"ipc://{folder}/store")

    def send(self, *messages: Message) -> None:
        self.socket.send_multipart(encode(messages))

    def receive(self, seconds: float) -> list[Message]:
        return decode(self.socket.recv_multipart()).messages if self.socket.poll(int(1000 * seconds)) else []

    def ask(self, question: Question, seconds: float = 10) -> Outcome | None:
        """Ask, and again each half second: the store may be away."""
        deadline = time.monotonic() + seconds
        request = random.getrandbits(40)
        while time.monotonic() < deadline:
            self.send(Ask(request, time.time_ns() // 10**6 + 5000, question))
            until = time.monotonic() + 0.5
            while (left := until - time.monotonic()) > 0:
                for message in self.receive(left):
                    if isinstance(message, Answer) and message.request == request:
                        return message.outcome
        return None

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture
def worker(store: StoreProcess) -> Iterator[Worker]:
    client = Worker(store.folder)
    yield client
    client.close()


def _deliver(name: str, boxes: list[str], data: bytes, staged: int = 0) -> Deliver:
    trace = f"Received: from a by b with SMTP id {name}; date\n".encode()
    return Deliver(name, time.time_ns() // 10**6, "s@e.example", tuple(boxes), trace, staged, data)


def _stored(folder: Path, box: str) -> dict[str, bytes]:
    """Texts by delivery id; fails on an id that is there twice."""
    reader = mailbox.mbox(folder / "mailboxes" / f"{box}.txt", create=False)
    texts: dict[str, bytes] = {}
    for key in reader.keys():  # noqa: SIM118  # iterating parses every message
        trace, _, text = reader.get_bytes(key).partition(b"; date\n")
        name = trace.rpartition(b" id ")[2].decode()
        assert name not in texts, f"{name} is twice in {box}"
        texts[name] = text
    reader.close()
    return texts


def _size(folder: Path, box: str) -> int:
    return (folder / "mailboxes" / f"{box}.txt").stat().st_size


def test_it_answers_and_stores_and_stops(store: StoreProcess, worker: Worker) -> None:
    assert worker.ask(Lookup("ana", "b.example")) == Found("ana@b.example", holds=300, writable_for=250)
    assert worker.ask(_deliver("s.1", BOXES, b"x: y\n")) == Delivered(False)
    assert all(_stored(store.folder, box) == {"s.1": b"x: y\n"} for box in BOXES)
    assert (store.folder / "ready").exists()
    assert store.end() == 0
    assert not (store.folder / "ready").exists()


def test_garbage_harms_nobody_and_a_restart_has_another_instance(store: StoreProcess, worker: Worker) -> None:
    worker.ask(Lookup("ana", "b.example"))
    for frames in ([b"x"], [PROTOCOL, b"\xc1"], [b"smtp/1", b"\x90"], [b""] * 5, [PROTOCOL, os.urandom(100)]):
        worker.socket.send_multipart(frames)
    worker.send(WorkerGone(), Ping())
    (first,) = worker.receive(5)
    assert isinstance(first, Pong)
    store.end(signal.SIGKILL)
    store.start()
    assert worker.ask(Lookup("ana", "b.example")) == Found("ana@b.example", holds=300, writable_for=250)
    worker.send(Ping())
    (second,) = worker.receive(5)
    assert isinstance(second, Pong)
    assert first.instance != second.instance
    assert b"is not for the store" in (store.folder / "log").read_bytes()


def test_a_pong_comes_behind_the_answers_to_what_was_asked_before_the_ping(
    store: StoreProcess, worker: Worker
) -> None:
    assert store.process
    asks: list[Message] = [Ask(number, 2**50, Lookup("ana", "b.example")) for number in range(1, 41)]
    worker.send(*asks[:20], Ping(7), *asks[20:], Ping(8))
    received = worker.receive(5)
    while received[-1] not in (last := [Pong(each.instance, 8) for each in received if isinstance(each, Pong)]):
        received += worker.receive(5)
    assert last
    assert [each.request for each in received if isinstance(each, Answer)] == list(range(1, 41))


def test_a_large_message_passes_in_pieces_without_being_held(store: StoreProcess, worker: Worker) -> None:
    assert store.process
    worker.ask(_deliver("s.0", BOXES, b"x: y\n"))
    statm = Path(f"/proc/{store.process.pid}/statm")
    before = int(statm.read_text().split()[1]) * 4096
    piece = (b"x" * 71 + b"\n") * 3600
    for number in range(100):
        assert worker.ask(Stage("s.1", number * len(piece), piece))
    assert worker.ask(_deliver("s.1", BOXES, b"end\n", 100 * len(piece))) == Delivered(False)
    # What is so large may be appended after the answer.
    text = b"\n" + piece * 100 + b"end\n"
    wait_until(lambda: all(_size(store.folder, box) > len(text) for box in BOXES), "all of it is in the mailboxes")
    assert int(statm.read_text().split()[1]) * 4096 - before < 12 * 1024 * 1024
    assert [_stored(store.folder, box)["s.1"] for box in BOXES] == [text] * 3


def test_kill_9_at_any_time_loses_doubles_and_tears_nothing(store: StoreProcess) -> None:
    dice = random.Random(7)
    acknowledged: dict[str, tuple[list[str], bytes]] = {}
    asked: dict[str, tuple[list[str], bytes]] = {}
    stop = threading.Event()

    def send(thread: int) -> None:
        client = Worker(store.folder)
        mine = random.Random(thread)
        number = 0
        while not stop.is_set():
            number += 1
            name = f"t{thread}.{number}"
            text = b"Subject: x\n\n" + b"0123456\n" * mine.choice([0, 1, 100, 40_000])
            boxes = mine.sample(BOXES, mine.randint(1, 3))
            asked[name] = boxes, text
            outcome = client.ask(_deliver(name, boxes, text))
            if isinstance(outcome, Delivered):
                acknowledged[name] = boxes, text
        client.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        count, deadline = len(acknowledged), time.monotonic() + 15
        while len(acknowledged) < count + 5 and time.monotonic() < deadline:
            stop.wait(dice.uniform(0.001, 0.02))
        store.end(signal.SIGKILL)
        store.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert store.end() == 0
    assert len(acknowledged) > 40
    stored = {box: _stored(store.folder, box) for box in BOXES}
    for name, (boxes, text) in asked.items():
        there = [box for box in BOXES if name in stored[box]]
        assert sorted(there) == sorted(boxes) or (not there and name not in acknowledged)
        assert all(stored[box][name] == text for box in there)


@pytest.mark.parametrize(
    ("settings", "status", "line"),
    [
        ({"USERS": "none.txt"}, 78, "store: USERS=none.txt: No such file or directory\n"),
        ({"MAILBOXES": "no/where"}, 78, "store: MAILBOXES: the folder no/where cannot be made"),
        ({"MAILBOXES": "users.txt"}, 78, "store: MAILBOXES: users.txt is not a folder\n"),
        ({"JOURNAL": "no/where/journal"}, 78, "store: JOURNAL: the folder no/where cannot be made"),
        ({"POSTMASTER": "who@b.example"}, 78, "store: POSTMASTER=who@b.example: there is no such user"),
        ({"MAILBOX_MODE": "0666"}, 78, "store: MAILBOX_MODE=0666: Input should be '0600' or '0640'\n"),
        ({"STORE_ENDPOINT": "tcp://203.0.113.7:9"}, 1, "store: STORE_ENDPOINT=tcp://203.0.113.7:9: "),
    ],
)
def test_a_bad_start_is_one_clear_line(folder: Path, settings: dict[str, str], status: int, line: str) -> None:
    code, error = StoreProcess(folder, **settings).run()
    assert error.startswith(line)
    assert (code, error.count("\n")) == (status, 1)


def test_a_second_store_on_the_same_journal_does_not_start(store: StoreProcess, worker: Worker) -> None:
    assert worker.ask(Lookup("ana", "b.example"))
    code, error = StoreProcess(store.folder, STORE_ENDPOINT=f"ipc://{store.folder}/other").run()
    assert (code, error) == (1, "store: another store is using the journal run/journal.sqlite3\n")


@pytest.mark.parametrize(("mode", "folder_mode"), [("0600", 0o700), ("0640", 0o750)])
def test_the_group_may_read_mailboxes_where_it_is_told_so_and_never_the_journal(
    folder: Path, mode: str, folder_mode: int
) -> None:
    store = StoreProcess(folder, MAILBOX_MODE=mode)
    store.start()
    try:
        wait_until((folder / "ready").exists, "the store is ready")
        of_journal = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder / "run").iterdir()}
    finally:
        assert store.end() == 0
    of_mailboxes = {stat.S_IMODE(path.stat().st_mode) for path in (folder / "mailboxes").iterdir()}
    assert stat.S_IMODE((folder / "mailboxes").stat().st_mode) == folder_mode
    assert of_journal.pop("journal.sqlite3.texts") == 0o700
    assert (of_mailboxes, set(of_journal.values())) == ({int(mode, 8)}, {0o600})


DIRECTORY = Directory(MemoryFiles(), FixedUsers("a@b.example"), Totals())


class _Batches:
    """A store that notes what it is asked together."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def write(self, asks: list[Ask]) -> list[Outcome]:
        self.asked.append([ask.question.delivery for ask in asks if isinstance(ask.question, Deliver)])
        return [Delivered(False)] * len(asks)


def test_mails_to_many_take_turns_and_nobody_waits_behind_them() -> None:
    store, context = _Batches(), ListContext()
    service = StoreService(cast(Store, store), DIRECTORY, cast(Any, context), "")
    (socket,) = context.sockets

    def ask(peer: bytes, name: str, copies: int, *others: Message) -> None:
        boxes = tuple(f"{number}@b.example" for number in range(copies))
        message = Ask(len(store.asked), 2**50, Deliver(name, 1, "", boxes, b"", 0, b""))
        socket.inbox.append([peer, *encode([message, *others])])

    def told(peer: bytes) -> list[Message]:
        sent = [message for to, *frames in socket.taken() if to == peer for message in decode(frames).messages]
        return [replace(message, instance="i") if isinstance(message, Pong) else message for message in sent]

    for number in range(4):
        ask(b"many", f"to 600, {number}", 600)
    ask(b"many", "to 600, 4", 600, Ping(7))
    ask(b"few", "to 10", 10, Ping(3))
    service._turn()
    assert store.asked == [["to 10", "to 600, 0"]]
    # Whoever is answered hears how far this is, and whoever is not that the store is there.
    assert Pong("i", 0) in told(b"many")
    ask(b"few", "to 1", 1, Ping(4))
    ask(b"some", "to 400", 400)
    ask(b"some", "to 20", 20)
    service._turn()
    assert Pong("i", 4) in told(b"few")
    for _ in range(5):
        service._turn()
    assert store.asked[1:] == [
        ["to 1", "to 20", "to 400"],
        ["to 600, 1"],
        ["to 600, 2"],
        ["to 600, 3"],
        ["to 600, 4"],
    ]


def test_those_who_send_to_some_do_not_keep_those_who_send_to_more_waiting_for_ever() -> None:
    store, context = _Batches(), ListContext()
    service = StoreService(cast(Store, store), DIRECTORY, cast(Any, context), "")
    (socket,) = context.sockets

    def ask(name: str, copies: int) -> None:
        boxes = tuple(f"{number}@b.example" for number in range(copies))
        socket.inbox.append([b"w", *encode([Ask(1, 2**50, Deliver(name, 1, "", boxes, b"", 0, b""))])])

    ask("to 600", 600)
    ask("to 600 as well", 600)
    turns = 0
    while ["to 600 as well"] not in [asked[-1:] for asked in store.asked]:
        for _ in range(3):
            ask("to 500", 500)
        service._turn()
        turns += 1
        assert turns < 100
