"""One who only wants to send small mails while others do what they do, and what the disk needs for a sync meanwhile.

    python -m tests.faults.bystander PORT SEED ADDRESS FOLDER

A process of its own, so that what it measures is the server and not the load beside it. It sends one mail after
another to ADDRESS, and syncs a small file in FOLDER, until its standard input ends; then it tells all as JSON.
`Bystander` is the same for whoever starts it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conditions import DEADLINE
from tests.faults.load import Journal, Sender, Sent
from tests.stack import ROOT

ADDRESS = "bystander@example.com"
# Its own, among those of the senders.
_NAME = 999
_SIZE = 4096
# Between two mails, and between two syncs, in seconds: often enough to meet what lasts a moment.
_PAUSE = 0.02
_SYNC_PAUSE = 0.1


def quantile(times: Sequence[float], part: float) -> float:
    """What that part of the times is no longer than; 0 of none."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


@dataclass
class Seen:
    """How long each mail took, from MAIL to its 250, and each sync of the disk; in seconds."""

    mails: list[float] = field(default_factory=list)
    syncs: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return quantile(self.mails, 0.99)

    def __str__(self) -> str:
        return (
            f"bystander: {len(self.mails)} mails, median {quantile(self.mails, 0.5):.3f} s, p99 {self.p99:.2f} s, "
            f"longest {max(self.mails, default=0):.2f} s; the disk's longest fdatasync meanwhile "
            f"{max(self.syncs, default=0):.2f} s, p99 {quantile(self.syncs, 0.99):.2f} s"
        )


class _Timed(Sender):
    """A sender of small mails, with the time that each took."""

    def __init__(self, journal: Journal, port: int, address: str) -> None:
        super().__init__(journal, port, [address], _NAME, _SIZE, size=_SIZE)
        self.times: list[float] = []

    def _how_many(self, octets: int) -> int:
        return 1

    async def _one_message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began = time.monotonic()
        await super()._one_message(reader, writer)
        self.times.append(time.monotonic() - began)
        await asyncio.sleep(_PAUSE)


class Bystander:
    """The process, from `with` to its end; then `seen`, and what it sent is in the journal.

    :param journal: gets its messages, and what went wrong.
    """

    def __init__(self, journal: Journal, port: int, folder: Path) -> None:
        self.seen = Seen()
        self._journal = journal
        self._command = [sys.executable, "-m", "tests.faults.bystander", str(port), str(journal.seed), ADDRESS]
        self._folder = folder

    def __enter__(self) -> Bystander:
        self._process = subprocess.Popen(
            [*self._command, str(self._folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        told, _ = self._process.communicate(timeout=2 * DEADLINE)
        assert self._process.returncode == 0
        said: dict[str, Any] = json.loads(told)
        self.seen = Seen(said["mails"], said["syncs"])
        for number, delivery, refusal in said["sent"]:
            self._journal.sent[number] = Sent(number, (ADDRESS,), delivery, refusal, _SIZE)
        self._journal.errors.update(said["errors"])
        self._journal.broken_connections += said["broken"]
        self._journal.longest_pause = max(self._journal.longest_pause, said["longest_pause"])


def _sync(path: Path, ended: threading.Event, times: list[float]) -> None:
    with path.open("wb", buffering=0) as file:
        while not ended.wait(_SYNC_PAUSE):
            file.write(b"x" * 4096)
            began = time.monotonic()
            os.fdatasync(file)
            times.append(time.monotonic() - began)
            file.seek(0)
    path.unlink()


def main() -> int:
    port, seed, address, folder = sys.argv[1:]
    journal, ended = Journal(int(seed)), threading.Event()
    sender = _Timed(journal, int(port), address)
    syncs: list[float] = []
    disk = threading.Thread(target=_sync, args=(Path(folder) / "bystander.sync", ended, syncs))
    disk.start()

    def wait() -> None:
        sys.stdin.read()
        sender.stopping = True

    threading.Thread(target=wait, daemon=True).start()
    try:
        asyncio.run(sender.run())
    finally:
        ended.set()
        disk.join()
    told = {
        "mails": sender.times,
        "syncs": syncs,
        "sent": [(sent.number, sent.delivery, sent.refusal) for sent in journal.sent.values()],
        "errors": journal.errors,
        "broken": journal.broken_connections,
        "longest_pause": journal.longest_pause,
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
