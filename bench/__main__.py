"""`python -m bench`: Correio and its peers under the same loads, in one run. See `options.py` for its variables.

Prints progress, then tables; writes a JSON record and, where matplotlib is installed (`make bench`), a plot. A run of
all peers that is not quick refreshes the figures of docs/performance.md.
Exit status: 1 where a load failed, or where mail that was acknowledged is not in the mailboxes; 2 for a bad option.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import document, machine, report
from bench.load import smtp_source
from bench.options import OptionError, Options, from_environment
from bench.peers import ALL, Correio
from bench.peers.base import INSTALLED, ROOT
from bench.runner import Bench
from bench.scenarios import FULL, QUICK, Scenario

_VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})
_WORKERS = (1, 2, 3)
DOCUMENT = ROOT / "docs" / "performance.md"


def _tell(began: float, line: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {line}", file=sys.stderr, flush=True)


def _measure(options: Options, folder: Path) -> Bench:
    began = time.monotonic()
    deadline = began + 60 * options.minutes
    bench = Bench(folder, lambda line: _tell(began, line))
    scenarios = QUICK if options.quick else FULL
    common = [scenario for scenario in scenarios if not scenario.only]
    try:
        for peer in ALL:
            if not options.peers or peer.name in options.peers:
                bench.start(peer.name, peer())
        # The last tenth of the time is for the number of workers.
        bench.measure(common, options.rounds, options.seconds, began + (deadline - began) * 0.9)
        bench.stop()
        if len(common) < len(scenarios):
            _sweep_workers(bench, scenarios, options, deadline)
    finally:
        bench.stop()
    return bench


def _sweep_workers(bench: Bench, scenarios: list[Scenario], options: Options, deadline: float) -> None:
    for workers in _WORKERS:
        bench.start(f"correio-{workers}", Correio(workers))
    bench.measure([scenario for scenario in scenarios if scenario.only], options.rounds, options.seconds, deadline)


def _plot(options: Options) -> None:
    python = INSTALLED / "venv" / "bin" / "python"
    if not python.exists():
        print("no plot: matplotlib is not installed (make bench installs it)", file=sys.stderr)
        return
    subprocess.run([python, ROOT / "bench" / "plot.py", options.out, options.plot], check=True)
    print(f"plot: {options.plot}")


def main() -> int:
    """Run all of it; gives the exit status."""
    # Told to end, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options = from_environment()
        smtp_source()
    except (OptionError, FileNotFoundError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    # Short, for sockets live in it; open, for Postfix's users must get to their mailboxes.
    folder = Path(tempfile.mkdtemp(prefix="correio-bench-", dir=options.folder or None))
    folder.chmod(0o755)
    try:
        where = machine.describe(folder)
        if where["file_system"] in _VOLATILE:
            print(
                f"bench: {folder} is on {where['file_system']}: syncs mean nothing there; set FOLDER", file=sys.stderr
            )
            return 2
        bench = _measure(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = report.figures(bench.samples)
    record = {"machine": where, "left_out": bench.left_out, "options": vars(options), "figures": result}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1, default=str) + "\n")
    tables = _tables(result, bench)
    for title, table in tables.items():
        if table.count("\n") > 1:
            print(f"\n{title}\n\n{table}")
    print(f"\nrecord: {options.out}")
    if not options.quick and not options.peers:
        sections = {name: document.code(table) for name, table in tables.items()}
        DOCUMENT.write_text(
            document.refreshed(DOCUMENT.read_text(), {"machine": document.machine(where), **sections})
        )
        print(f"document: {DOCUMENT}")
    _plot(options)
    found = report.problems(result)
    for line in found:
        print(f"PROBLEM: {line}", file=sys.stderr)
    return 1 if found else 0


def _tables(result: report.Figures, bench: Bench) -> dict[str, str]:
    """By the name that the document has for them."""
    peers = [peer.name for peer in ALL if peer.name not in bench.left_out]
    queues = [peer.name for peer in ALL if peer.queues]
    return {
        "throughput": report.table(result, peers, queues),
        "workers": report.workers_table(result),
        "times": report.times_table(result),
        "cost": report.cost_table(result),
    }


if __name__ == "__main__":
    sys.exit(main())
