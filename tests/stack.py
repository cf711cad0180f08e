"""The three services as processes of their own, for tests that need them whole.

`Stack` starts them on free ports and private sockets in a folder it is given, and ends them by their process ids.
`Connection` is a client that sees octets, for what smtplib would hide. Nothing here sleeps: all waiting is for a
condition, with a deadline.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from client.testing.private_stack import free_port as free_port
from deploy.processes import surroundings
from deploy.start import why_no_mail
from tests.conditions import DEADLINE, wait_until

ROOT = Path(__file__).parent.parent
USERS = "maria@example.com\njoao@example.com\nana@example.org\n"


def free_ports(count: int) -> int:
    """The first of so many ports in a row of 127.0.0.1 that nobody listens on now."""
    while True:
        first = free_port()
        with ExitStack() as probes, suppress(OSError, OverflowError):
            for port in range(first, first + count):
                probes.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


class Connection:
    """An SMTP client that sends octets as told and reads whole replies.

    :param port: of 127.0.0.1.
    :param timeout: seconds to wait for a reply.
    """

    def __init__(self, port: int, timeout: float = DEADLINE) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """The next line without its end, or b"" once the server has closed."""
        while b"\n" not in self.buffer:
            octets = self.socket.recv(65536)
            if not octets:
                return b""
            self.buffer += octets
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def reply(self) -> str:
        """The next reply, its lines joined by newlines; "" once the server has closed."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"\n".join(lines).decode()

    def command(self, line: str, ending: str = "\r\n") -> str:
        """Send a command line and return its reply."""
        self.send((line + ending).encode())
        return self.reply()

    def begin(self, recipient: str = "maria@example.com") -> None:
        """Read the greeting and go as far as the 354 to DATA."""
        assert self.reply().startswith("220 ")
        assert self.command("EHLO client.example.net").startswith("250-")
        assert self.command("MAIL FROM:<sender@example.net>").startswith("250 2.1.0")
        assert self.command(f"RCPT TO:<{recipient}>").startswith("250 2.1.5")
        assert self.command("DATA").startswith("354 ")


def takes_mail(port: int) -> bool:
    """Whether gateway, a worker and the store answer on this port of 127.0.0.1."""
    return not why_no_mail("127.0.0.1", port, 5)


class Stack:
    """One gateway, one store and some workers, each a process that can be killed, stopped and started again.

    :param folder: private to the stack: sockets, journal, mailboxes, logs. Keep its path short, sockets live in it.
    :param workers: how many session workers.
    :param users: the text of users.txt.
    :param metrics: whether each process tells its numbers, on its port in `metrics`.
    :param logs: a folder where each process writes a log of its own, as under `make up`; None: standard output is in
        `folder`.
    :param settings: further environment variables for all services.
    """

    def __init__(
        self,
        folder: Path,
        workers: int = 2,
        users: str = USERS,
        *,
        metrics: bool = False,
        logs: Path | None = None,
        **settings: str,
    ) -> None:
        self.folder = folder
        self.mailboxes = folder / "mailboxes"
        self.users = folder / "users.txt"
        self.users.write_text(users)
        self.port = free_port()
        self.worker_names = [f"session_worker-{number}" for number in range(1, workers + 1)]
        names = ["gateway", "mailbox_store", *self.worker_names] if metrics else []
        self.metrics = {name: free_port() for name in names}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs = logs
        self._environment = surroundings(folder, folder) | {
            "PORT": str(self.port),
            "DOMAIN": "mail.example.com",
            "USERS": str(self.users),
            "MAILBOXES": str(self.mailboxes),
            **settings,
        }

    def __enter__(self) -> Stack:
        try:
            for name in ["mailbox_store", *self.worker_names, "gateway"]:
                self.start(name)
            wait_until(self.takes_mail, f"the stack takes mail\n{self.logs()}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.logs())
        self.stop()

    def start(self, name: str, program: str = "", output: int | None = None) -> None:
        """Start a service, or start it again: "gateway", "mailbox_store", "session_worker-1"…

        :param program: Python text to run instead of `python -m` the service: it changes what it wants to have
            changed in the service's modules, and then calls its `main`.
        :param output: a descriptor for what it says; None: its log in `folder`.
        """
        what = ["-c", program] if program else ["-m", name.partition("-")[0]]
        own = {"METRICS": f"127.0.0.1:{self.metrics[name]}"} if name in self.metrics else {}
        if self._logs is not None:
            own["LOG_FILE"] = str(self._logs / f"{name}.log")
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *what],
                cwd=self.folder,
                env=self._environment | own,
                stdin=subprocess.DEVNULL,
                stdout=log if output is None else output,
                stderr=log if output is None else output,
            )

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """kill -9, and wait until the process is gone."""
        self.processes[name].kill()
        self.processes[name].wait(DEADLINE)

    def terminate(self, name: str) -> int:
        """SIGTERM; returns the exit status."""
        self.processes[name].terminate()
        return self.processes[name].wait(DEADLINE)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """SIGSTOP for the length of a with block."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    def stop(self) -> None:
        """End every process: the gateway first, as it needs the others to finish, and then these together."""
        hung = []
        for group in (["gateway"], [*self.worker_names, "mailbox_store"]):
            ending = {name: self.processes[name] for name in group if name in self.processes}
            for process in ending.values():
                process.send_signal(signal.SIGCONT)
                process.terminate()
            for name, process in ending.items():
                try:
                    process.wait(DEADLINE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    hung.append(name)
        assert not hung, f"{hung} did not end within {DEADLINE} s of SIGTERM"

    def pids(self) -> dict[str, int]:
        """The process of each service; one that has ended may be among them."""
        return {name: process.pid for name, process in list(self.processes.items())}

    def connect(self) -> Connection:
        return Connection(self.port)

    def takes_mail(self) -> bool:
        """Whether it does; fails at once where a service has ended."""
        for name, process in self.processes.items():
            assert process.poll() is None, f"{name} ended:\n{self.log(name)}"
        return takes_mail(self.port)

    def log(self, name: str) -> str:
        path = (self._logs or self.folder) / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.log(name)[-4000:]}" for name in self.processes)

    def clear(self) -> None:
        """Empty mailboxes and logs, as a user may: the next test begins with what a new stack has."""
        for path in (*self.mailboxes.iterdir(), *(self.folder / f"{name}.log" for name in self.processes)):
            path.write_bytes(b"")

    def mailbox(self, address: str) -> bytes:
        """The octets of a mailbox file; none yet is b""."""
        path = self.mailboxes / f"{address}.txt"
        return path.read_bytes() if path.exists() else b""
