"""`python -m bench.curves`: what a message costs as the work grows. `options.py` has its variables.

Each curve grows one thing, on stacks that differ in nothing else, and repeats all its points in turn: mailbox size
(real octets, up to 2 GB), users, mailboxes written, age of the journal (ids in its ledger), idle connections. Each
mailbox that is written has got one message before a load begins.
Prints messages per second and what is left of the first point's; writes a JSON record, the
figures of docs/performance.md unless QUICK, and, with matplotlib, a plot.
Limits: needs some 6 GB of disk. Exit status as of `python -m bench`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import document, machine, procfs
from bench.counting import Counter
from bench.generator import Job, message
from bench.load import by_generator
from bench.options import OptionError, Options, from_environment
from bench.peers import Correio, PeerError
from bench.peers.base import INSTALLED, ROOT, address
from mailbox_store.journal.journal import Forgotten, HeldMessage
from mailbox_store.journal.sqlite_journal import SqliteJournal

_SESSIONS = 100
_WARM_UP = 300
_MIB = 1024 * 1024
_LEDGER_PORTION = 10_000
# A hundred thousand files take some ten seconds.
_SETTLED_WITHIN = 120.0
# Makes a folder be as a value says.
_Prepare = Callable[[Path, int], None]


@dataclass(frozen=True)
class Curve:
    """`prepare` makes a folder be so; `users`, `recipients` and `idle` say what a value means to the stack."""

    title: str
    unit: str
    values: tuple[int, ...]
    quick: tuple[int, ...]
    prepare: _Prepare = lambda _folder, _value: None
    users: Callable[[int], int] = lambda _value: 10
    recipients: Callable[[int], int] = lambda _value: 1
    idle: Callable[[int], int] = lambda _value: 0


def fill_mailbox(folder: Path, mib: int) -> None:
    """Write a mailbox of that size, every octet of it."""
    entry = b"From a@example.com Thu Jan  1 00:00:00 1970\n" + message(64 * 1024).removesuffix(b".\r\n") + b"\n"
    block = entry * (_MIB // len(entry))
    path = folder / "mailboxes" / f"{address(0)}.txt"
    path.parent.mkdir(mode=0o700)
    with path.open("wb") as file:
        while file.tell() < mib * _MIB:
            file.write(block)
    path.chmod(0o600)


def fill_ledger(folder: Path, ids: int) -> None:
    """Have the journal remember that many deliveries, as recent as they can be."""
    path = folder / "run" / "journal" / "journal.sqlite3"
    path.parent.mkdir(mode=0o700, parents=True)
    journal = SqliteJournal(path)
    now = time.time_ns() // 1_000_000
    for first in range(0, ids, _LEDGER_PORTION):
        with journal.transaction():
            for number in range(first, first + _LEDGER_PORTION):
                session = f"{number % 4096:012x}-{number}"
                journal.add(HeldMessage(f"{session}.1", now, "", b"", 0, b""), [])
            journal.forget(Forgotten([], range(first + 1, first + _LEDGER_PORTION + 1)))
    journal.maintain()
    journal.close()


CURVES = [
    Curve("mailbox size", "MiB", (0, 100, 500, 2048), (0, 200), fill_mailbox),
    Curve("users", "users", (10, 1000, 10_000, 100_000), (10, 10_000), users=lambda value: value),
    Curve("mailboxes written", "mailboxes", (1, 100, 1000), (1, 1000), users=lambda _: 1000, recipients=lambda n: n),
    Curve("journal age", "ids", (0, 100_000, 500_000, 2_000_000), (0, 100_000), fill_ledger),
    Curve("idle connections", "connections", (0, 1000, 5000), (0, 1000), idle=lambda value: value),
]


@contextmanager
def _held(port: int, connections: int) -> Iterator[None]:
    """That many clients that have been greeted and say nothing."""
    if not connections:
        yield
        return
    job = json.dumps({"port": port, "count": connections, "sessions": connections, "hold": True})
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.generator", job], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if said != b"held\n":
            raise PeerError(f"the idle connections could not be opened: {said.decode().strip()}")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Point:
    """One value of a curve: a folder, and what was measured on it."""

    def __init__(self, curve: Curve, value: int, folder: Path) -> None:
        self.value = value
        self.rates: list[float] = []
        self.problems: list[str] = []
        self.peak: dict[str, int] = {}
        self.start_seconds = 0.0
        self._curve = curve
        self._folder = folder
        self._count = 0
        folder.mkdir()
        curve.prepare(folder, value)

    def measure(self, seconds: float) -> None:
        """Start a stack on the folder, load it, stop it."""
        stack = Correio()
        began = time.monotonic()
        stack.start(self._folder, self._curve.users(self.value))
        self.start_seconds = time.monotonic() - began
        try:
            self._settle(stack.mailboxes)
            with _held(stack.port, self._curve.idle(self.value)):
                few = max(_WARM_UP, self._curve.recipients(self.value))
                warm = self._load(stack, few)
                self._count = self._count or max(_WARM_UP, int(warm * seconds))
                self.rates.append(self._load(stack, self._count))
            self.peak = {role: procfs.peak_kib([pid]) for role, pid in stack.processes().items()}
        finally:
            stack.stop()

    def _settle(self, mailboxes: Path) -> None:
        """Wait for the mailbox files that a first start makes while it takes mail already, and for the disk."""
        users = self._curve.users(self.value)
        end = time.monotonic() + _SETTLED_WITHIN
        while sum(1 for _ in mailboxes.iterdir()) < users:
            if time.monotonic() > end:
                raise PeerError(f"after {_SETTLED_WITHIN:g} s there is not yet a mailbox file for each of {users}")
            time.sleep(0.1)
        os.sync()

    def _load(self, stack: Correio, count: int) -> float:
        counter = Counter(stack.mailboxes)
        before = counter.look()
        sent = by_generator(Job(stack.port, count, _SESSIONS, recipients=self._curve.recipients(self.value)))
        stored = counter.look() - before
        if sent.error or stored != sent.acknowledged:
            self.problems.append(sent.error or f"{sent.acknowledged} acknowledged, {stored} stored")
        return sent.acknowledged / max(sent.seconds, 1e-9)

    def record(self) -> dict[str, Any]:
        """For the JSON file: rates in messages a second, memory in KiB."""
        return {
            "value": self.value,
            "median": statistics.median(self.rates),
            "rates": self.rates,
            "start_seconds": self.start_seconds,
            "peak_kib": self.peak,
            "problems": self.problems,
        }


def draw(curve: Curve, options: Options, folder: Path) -> list[dict[str, Any]]:
    """Measure one curve; gives its points."""
    folder.mkdir()
    print(f"{curve.title}: preparing", file=sys.stderr, flush=True)
    points = [Point(curve, value, folder / str(value)) for value in (curve.quick if options.quick else curve.values)]
    for turn in range(1, options.rounds + 1):
        for point in points:
            point.measure(options.seconds)
            print(
                f"{curve.title}: round {turn}  {point.value:>9,} {curve.unit:12} {point.rates[-1]:8.0f}/s",
                file=sys.stderr,
                flush=True,
            )
    shutil.rmtree(folder)
    return [point.record() for point in points]


def main() -> int:
    """Measure all curves; gives the exit status."""
    # Told to end, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options = from_environment()
    except OptionError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="correio-curves-", dir=options.folder or None))
    try:
        where = machine.describe(folder)
        curves = {
            curve.title: {"unit": curve.unit, "points": draw(curve, options, folder / str(number))}
            for number, curve in enumerate(CURVES)
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    out = options.out.with_name("curves.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": where, "curves": curves}, indent=1) + "\n")
    table, problems = _table(curves)
    print(table)
    print(f"record: {out}")
    if not options.quick:
        path = ROOT / "docs" / "performance.md"
        sections = {"curves_machine": document.machine(where), "curves": document.code(table)}
        path.write_text(document.refreshed(path.read_text(), sections))
    python = INSTALLED / "venv" / "bin" / "python"
    if python.exists():
        subprocess.run([python, ROOT / "bench/plot.py", out, options.plot.with_name("curves.png")], check=True)
    for problem in problems:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _table(curves: dict[str, Any]) -> tuple[str, list[str]]:
    lines, problems = [], []
    for title, curve in curves.items():
        first = curve["points"][0]["median"]
        for point in curve["points"]:
            share = point["median"] / first
            lines.append(
                f"{title:18} {point['value']:>9,} {curve['unit']:12} {point['median']:8,.0f}/s  {share:5.2f}"
            )
            problems += [f"{title} {point['value']}: {problem}" for problem in point["problems"]]
    return "\n".join(lines), problems


if __name__ == "__main__":
    sys.exit(main())
