"""How many function calls a message costs in each service: a measure of work that no other program disturbs.

The three services run in this process, on sockets and loops of plain lists, and a profiler counts every call, of
Python and of C, on the way of a message: the framer, the session, the pool and the bus of the gateway; the bus and
the dialogue of the worker; the store with a real journal and real files, its second thread's work included.

`python -m bench.budget` counts and compares with `budget.json`; `--record` writes that file. The rule:

* more calls than the budget is a failure: find out which change did it (`--top` names the functions), and undo it, or
  record the new number in the same commit and say there what it buys;
* under 90 % of the budget is a failure too: record the gain, or the next loss hides in it.

Limits: counts are the same on every run of one Python version; on another one only the upper bound holds, with a
tenth of slack. Calls are not time: a call that becomes slower is not seen here but by `make bench`.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, cast

from bench import counting
from bench.generator import message
from bench.peers.base import DOMAIN, address
from deploy import in_memory
from deploy.in_memory import BEGIN, GATEWAY, SESSION_WORKER, InMemory
from mailbox_store.journal.sqlite_journal import SqliteJournal
from mailbox_store.mailboxes.files import DiskFiles
from mailbox_store.metrics import Totals
from mailbox_store.service import StoreService
from mailbox_store.store import Store
from mailbox_store.users.directory import Directory, Users
from mailbox_store.users.parsing import parse_users
from runtime import lists
from runtime.lists import Frames, ListContext, ListLoop
from runtime.logs import open_destination
from runtime.telling import EventLog, Form, Output

BUDGET = Path(__file__).with_name("budget.json")
# What the budget may exceed the count by, and on another Python the count the budget.
SLACK = 0.10
_WARM_UP = 5
_MESSAGES = 30
_SIZE = 4096
STORE = "mailbox_store"
# The store's checkpoint has its place once a second; a turn of its loop under load takes about this.
_TURN_SECONDS = 0.01
_WORKER = b"worker"
# What the harness does itself does not count.
_HARNESS = {__file__, in_memory.__file__, lists.__file__}


class Load(NamedTuple):
    """Sessions that speak in lock-step; `same`: what they say was said a moment ago, so that its answer is known.

    `log`: whether that is logged, and for whom.
    """

    sessions: int
    pipelined: bool = False
    same: bool = True
    log: Form | None = None


LOADS = {
    "1 session": Load(1),
    "20 sessions": Load(20),
    "20 sessions, each mail from another sender": Load(20, same=False),
    "20 sessions, pipelined": Load(20, pipelined=True),
    "20 sessions, logged": Load(20, log="human"),
    "20 sessions, logged as JSON": Load(20, log="json"),
}

Calls = dict[str, dict[str, float]]


class Profiler:
    """Counts calls by service and by function."""

    def __init__(self) -> None:
        self.by_function: dict[str, Counter[str]] = {}

    @contextmanager
    def count(self, service: str) -> Iterator[None]:
        functions = self.by_function.setdefault(service, Counter())

        def on_event(frame: FrameType, event: str, argument: Any) -> None:
            if frame.f_code.co_filename in _HARNESS:
                return
            if event == "call":
                functions[f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}"] += 1
            elif event == "c_call":
                functions[getattr(argument, "__qualname__", str(argument))] += 1

        sys.setprofile(on_event)
        try:
            yield
        finally:
            sys.setprofile(None)


class AtOnce(Executor):
    """Does what it is given in the caller's thread, where it is counted."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments, **named))
        return future


class FixedUsers:
    """A list of users that never changes."""

    def __init__(self, count: int) -> None:
        lines = "".join(address(number) + "\n" for number in range(count))
        self.current: Users = parse_users(lines.encode(), "users.txt", DOMAIN)

    def knows(self, mailbox: str) -> bool:
        return mailbox in self.current.names


class OnDisk(InMemory):
    """The server with the store's real journal and files, and `sessions` clients that speak in lock-step.

    Time stands still but for the store's pauses, which are counted in turns, so every run does exactly the same.

    :param folder: for the journal, the mailboxes and the log.
    :param log: whether conversations and deliveries are logged, and for whom.
    """

    def __init__(self, folder: Path, sessions: int, log: Form | None = None) -> None:
        self.profile: Callable[[str], AbstractContextManager[None]] = lambda _service: nullcontext()
        self._turns = 0
        self._mailboxes = folder / "mailboxes"
        self._mailboxes.mkdir()
        output = Output(open_destination(str(folder / "log"), ()), lambda _lines, _why: b"")
        events = {
            name: EventLog(output, name, log, lambda: int(BEGIN * 1e9))
            for name in (GATEWAY, SESSION_WORKER, STORE)
            if log
        }
        self._make_store(folder, sessions, events.get(STORE))
        super().__init__([address(0)], events=events)
        self._clients = [self.connect() for _ in range(sessions)]

    def _make_store(self, folder: Path, users: int, events: EventLog | None) -> None:
        files = DiskFiles(self._mailboxes)

        def now() -> int:
            return int(BEGIN * 1000)

        def monotonic() -> float:
            return self._turns * _TURN_SECONDS

        totals, context = Totals(), ListContext()
        directory = Directory(files, FixedUsers(users), totals)
        self._on_disk = Store(
            SqliteJournal(folder / "journal"), files, directory, AtOnce(), now, monotonic, totals, events
        )
        self._on_disk.recover("budget")
        self._service = StoreService(self._on_disk, directory, cast(Any, context), "")
        (self._from_workers,) = context.sockets

    def close(self) -> None:
        self._on_disk.close()

    def stored(self) -> int:
        """How many messages are in the mailboxes."""
        return counting.Counter(self._mailboxes).look()

    def exchange(self, pipelined: bool, sender: str = "bench") -> None:
        """One message of each session."""
        mail = f"MAIL FROM:<{sender}@{DOMAIN}>\r\n".encode()
        rcpts = [f"RCPT TO:<{address(number)}>\r\n".encode() for number in range(len(self._clients))]
        if pipelined:
            self.say(lambda number: mail + rcpts[number] + b"DATA\r\n", "354 ")
        else:
            self.say(lambda _: mail, "250 ")
            self.say(lambda number: rcpts[number], "250 ")
            self.say(lambda _: b"DATA\r\n", "354 ")
        text = message(_SIZE)
        self.say(lambda _: text, "250 ")

    def say(self, octets: Callable[[int], bytes], expected: str) -> None:
        """All clients say theirs, and are answered."""
        for number, client in enumerate(self._clients):
            said = octets(number)
            client.said = b""
            with self.profile(GATEWAY):
                client.send(said)
        self.settle()
        for client in self._clients:
            assert client.said.decode().splitlines()[-1].startswith(expected), client.said

    def turn(self, service: str, loop: ListLoop) -> None:
        with self.profile(service):
            super().turn(service, loop)

    def ask_store(self, asked: list[Frames]) -> list[Frames]:
        self._from_workers.inbox.extend([_WORKER, *frames] for frames in asked)
        self._turns += 1
        with self.profile(STORE):
            self._service._turn()
            self._on_disk.tick()
        return [frames for _worker, *frames in self._from_workers.taken()]


def count_load(load: Load) -> dict[str, Counter[str]]:
    """Calls by service and function of `sessions` × `_MESSAGES` messages in steady state."""
    sessions, pipelined, same, log = load
    profiler = Profiler()
    with tempfile.TemporaryDirectory(prefix="correio-budget-") as folder:
        services = OnDisk(Path(folder), sessions, log)
        try:
            services.say(lambda _: b"EHLO bench.example\r\n", "250 ")
            for number in range(_WARM_UP + _MESSAGES):
                if number == _WARM_UP:
                    services.profile = profiler.count
                services.exchange(pipelined, "bench" if same else f"bench{number}")
        finally:
            services.close()
        assert services.stored() == sessions * (_WARM_UP + _MESSAGES), "messages were lost on the way"
    return profiler.by_function


def count() -> Calls:
    """Calls per message: load → service → number."""
    # A collection's callbacks are called when memory, not work, says so.
    gc.disable()
    calls: Calls = {}
    for name, load in LOADS.items():
        counted = count_load(load)
        messages = load.sessions * _MESSAGES
        calls[name] = {service: round(functions.total() / messages, 1) for service, functions in counted.items()}
    gc.enable()
    return calls


def compare(calls: Calls, budget: Calls, same_python: bool) -> list[str]:
    """What breaks the rule, a line each."""
    broken = []
    for load, services in calls.items():
        for service, counted in services.items():
            allowed = budget.get(load, {}).get(service)
            where = f"{load}, {service}: {counted} calls per message"
            if allowed is None:
                broken.append(f"{where}, and no budget")
            elif counted > allowed * (1 if same_python else 1 + SLACK):
                broken.append(f"{where}, the budget is {allowed}")
            elif same_python and counted < allowed * (1 - SLACK):
                broken.append(f"{where}, far under the budget of {allowed}: record the gain")
    return broken


def main(arguments: list[str]) -> int:
    """Count and compare, record, or show the functions; the exit status is 1 where the budget is broken."""
    logging.basicConfig(level=logging.WARNING)
    if "--top" in arguments:
        _show_top()
        return 0
    calls = count()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if "--record" in arguments:
        BUDGET.write_text(json.dumps({"python": python, "calls_per_message": calls}, indent=2) + "\n")
    recorded = json.loads(BUDGET.read_text())
    print(json.dumps(calls, indent=2))
    broken = compare(calls, recorded["calls_per_message"], recorded["python"] == python)
    for line in broken:
        print(line, file=sys.stderr)
    if broken:
        print("the rule, and how to record a new budget: bench/budget.py", file=sys.stderr)
    return 1 if broken else 0


def _show_top() -> None:
    load = LOADS["20 sessions, each mail from another sender"]
    messages = load.sessions * _MESSAGES
    for service, functions in count_load(load).items():
        print(f"{service}: {functions.total() / messages:.1f} calls per message")
        for function, calls in functions.most_common(25):
            print(f"{calls / messages:8.2f}  {function}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
