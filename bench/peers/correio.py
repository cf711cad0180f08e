"""Correio itself, as `make up MODE=processes` runs it: with default settings, each process with a log of its own."""

from __future__ import annotations

from pathlib import Path

from bench.peers.base import Peer, PeerError, address
from tests.scraping import families
from tests.stack import Stack

DEFAULT_WORKERS = 2


class Correio(Peer):
    """Our stack; started again in the same folder it finds its mail there."""

    name = "correio"
    what = "Correio with default settings, conversations logged: journal and mailboxes synced, all as processes"

    def __init__(self, workers: int = DEFAULT_WORKERS) -> None:
        super().__init__()
        self.workers = workers
        self.users = 0
        self._stack: Stack | None = None

    def start(self, folder: Path, recipients: int) -> None:
        users = "".join(address(number) + "\n" for number in range(max(recipients, self.users)))
        self._stack = Stack(folder, self.workers, users, metrics=True, logs=folder)
        try:
            self._stack.__enter__()
        except AssertionError as error:
            raise PeerError(str(error)) from None
        self.port, self.mailboxes = self._stack.port, self._stack.mailboxes

    def stop(self) -> None:
        if self._stack is not None:
            self._stack.stop()

    def commits(self) -> list[tuple[float, int]]:
        assert self._stack is not None
        told = families(self._stack.metrics["mailbox_store"])
        return [
            (float(sample.labels["le"]), int(sample.value))
            for family in told
            for sample in family.samples
            if sample.name == "correio_store_commit_seconds_bucket"
        ]

    def processes(self) -> dict[str, int]:
        assert self._stack is not None
        return {name.replace("session_", ""): process.pid for name, process in self._stack.processes.items()}
