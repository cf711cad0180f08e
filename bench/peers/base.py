"""What every compared server has in common."""

from __future__ import annotations

import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from bench import procfs

ROOT = Path(__file__).parent.parent.parent
# What `make bench` installs for the peers, outside of the tree's own environment.
INSTALLED = ROOT / "build" / "bench"
START_SECONDS = 60.0
DOMAIN = "example.com"


def address(number: int) -> str:
    """The address of a recipient; every peer has a mailbox for each of those that `start` was told of."""
    return f"u{number}@{DOMAIN}"


class PeerError(Exception):
    """A peer cannot run here; the text says why."""


class Peer(ABC):
    """A server on 127.0.0.1.

    `stores`: it keeps mail, in `mailboxes`. `queues`: it says 250 before the mailbox has the message.
    """

    name: ClassVar[str]
    what: ClassVar[str]
    stores: ClassVar[bool] = True
    queues: ClassVar[bool] = False

    def __init__(self) -> None:
        self.port = 0
        self.mailboxes = Path()

    @abstractmethod
    def start(self, folder: Path, recipients: int) -> None:
        """Run in a folder of its own, with that many mailboxes, and return once it takes mail.

        :raises PeerError: where it is not installed or does not start; nothing of it is left running.
        """

    @abstractmethod
    def stop(self) -> None:
        """End every process of it; harmless when there is none."""

    def commits(self) -> list[tuple[float, int]]:
        """How many of its commits so far took at most so many seconds, up to all of them; empty: it does not tell."""
        return []

    @abstractmethod
    def processes(self) -> dict[str, int]:
        """The processes by role; what they start belongs to them."""

    def cpu_seconds(self) -> dict[str, float]:
        """The processor time that each role has taken so far."""
        return {role: procfs.cpu_seconds([pid]) for role, pid in self.processes().items()}


def greets(port: int) -> bool:
    """Whether a server on this port says 220."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            greeting = client.recv(4)
            client.sendall(b"QUIT\r\n")
            return greeting == b"220 "
    except OSError:
        return False


def wait_for_greeting(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return once the server greets.

    :raises PeerError: with the end of its log, when it ends or takes too long.
    """
    end = time.monotonic() + START_SECONDS
    while not greets(port):
        if process.poll() is not None or time.monotonic() > end:
            raise PeerError(f"{name} does not start: {log.read_text(errors='replace')[-400:].strip()}")
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for one that does not obey."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
