"""`python -m bench.logs`: what the log of conversations costs, of this checkout and of an earlier commit.

Stacks that differ in nothing but CONVERSATION and LOG_FORMAT are started as `make up` starts them and get the same
loads in turn, round after round. Each rate is divided by that of the stack without a log in the same round.

Variables: BEFORE, a commit to compare with; MODE, `processes` or `docker`; LOADS, some of them, by their names and
separated by commas; and those of `options.py`, ROUNDS being 9.
Prints tables, writes a JSON record, and, unless QUICK, the figures of docs/performance.md. Exit status as of
`python -m bench`.
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
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import document, machine, report
from bench.options import OptionError, Options, from_environment
from bench.peers import Deployed
from bench.peers.base import ROOT
from bench.runner import Bench, Sample
from bench.scenarios import KIB, RECIPIENTS, Scenario

# A stack that logs nothing of a conversation; the default; and the default for programs.
OFF, DEFAULT, JSON = "off", "default", "json"
LOGS: dict[str, dict[str, str]] = {
    OFF: {"CONVERSATION": "off", "LOG_LEVEL": "WARNING"},
    DEFAULT: {},
    JSON: {"LOG_FORMAT": "json"},
}
BEFORE, NOW = "before", "now"
LOADS = [
    *(Scenario(f"keep s={sessions}", sessions, own=True) for sessions in (100, 20, 1, 500)),
    *(Scenario(f"new s={sessions}", sessions, keep=False, own=True) for sessions in (100, 20)),
    Scenario("pipelined s=20", 20, own=True, pipelined=True),
    Scenario("mailboxes 10000 s=100", 100, own=True, recipients=RECIPIENTS),
    Scenario("new senders s=100", 100, own=True, recipients=RECIPIENTS, senders=RECIPIENTS),
    Scenario("100 KiB s=20", 20, own=True, size=100 * KIB),
]
_QUICK = 2
_DEFAULTS = {"ROUNDS": "9", "LOAD_SECONDS": "1.5", "MINUTES": "60"}


def table(samples: Sequence[Sample], names: Sequence[str]) -> str:
    """Of each load: the rate without a log, and what is left of it with one, as median and quartiles of the rounds.

    :param names: of what is compared, such as BEFORE and NOW.
    """
    rows = [["load", "sources", "off/s", "default", "json", "off µs", "default µs", "json µs"]]
    for load in dict.fromkeys(sample.scenario for sample in samples):
        for name in names:
            of = {log: _of(samples, load, f"{name}-{log}") for log in LOGS}
            if all(of.values()):
                rates = {
                    log: {each.round: each.acknowledged / each.seconds for each in its} for log, its in of.items()
                }
                costs = [statistics.median(map(cost, its)) for its in of.values()]
                rows.append(
                    [
                        load,
                        name,
                        f"{statistics.median(rates[OFF].values()):,.0f}",
                        *(_ratio(rates[log], rates[OFF]) for log in (DEFAULT, JSON)),
                        *(f"{each:,.0f}" for each in costs),
                    ]
                )
    return report.aligned(rows)


def cost_table(samples: Sequence[Sample], names: Sequence[str], load: str) -> str:
    """µs of processor time that a message of one load takes in each process."""
    roles = list(dict.fromkeys(role for sample in samples for role in sample.cpu))
    rows = [[f"µs a message, {load}", *(_words(role) for role in roles)]]
    for name in names:
        for log in LOGS:
            if its := _of(samples, load, f"{name}-{log}"):
                cells = [_median_cost(its, role) for role in roles]
                rows.append([f"{name}, {log}", *cells])
    return report.aligned(rows)


def cost(sample: Sample) -> float:
    """µs of processor time that a message took in all processes of the stack."""
    return sum(sample.cpu.values()) / sample.acknowledged * 1e6


def _median_cost(samples: Sequence[Sample], role: str) -> str:
    return f"{statistics.median(each.cpu.get(role, 0.0) / each.acknowledged * 1e6 for each in samples):,.0f}"


def _words(role: str) -> str:
    return role.replace("mailbox_", "")


def _of(samples: Sequence[Sample], load: str, peer: str) -> list[Sample]:
    return [
        each
        for each in samples
        if (each.scenario, each.peer) == (load, peer) and each.acknowledged and not each.error
    ]


def _ratio(rates: dict[int, float], off: dict[int, float]) -> str:
    ratios = [rate / off[turn] for turn, rate in rates.items() if turn in off]
    if len(ratios) < 2:
        return "".join(f"{ratio:.2f}" for ratio in ratios) or "-"
    low, middle, high = statistics.quantiles(ratios, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _sources(commit: str, folder: Path) -> Path:
    """The tree of a commit, as files.

    :raises subprocess.CalledProcessError: there is no such commit.
    """
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    # Not by tarfile: its filters came with Python 3.11.4, and Debian 12 has 3.11.2.
    folder.mkdir()
    subprocess.run(["tar", "--extract", "--directory", folder], input=packed, check=True)
    return folder


def chosen(names: str, quick: bool) -> list[Scenario]:
    """The loads of these names, separated by commas; empty: all, or the first ones in a quick run.

    :raises OptionError: for a name that none has.
    """
    if not names:
        return LOADS[:_QUICK] if quick else LOADS
    known = {load.key: load for load in LOADS}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise OptionError(f"LOADS={names}: there is no {name}, but {', '.join(known)}")
    return [known[name] for name in wanted]


def _measure(
    options: Options,
    loads: list[Scenario],
    mode: str,
    trees: dict[str, Path],
    folder: Path,
    tell: Callable[[str], None],
) -> Bench:
    bench = Bench(folder, tell)
    try:
        for name, tree in trees.items():
            for log, settings in LOGS.items():
                bench.start(f"{name}-{log}", Deployed(tree, settings | {"MODE": mode}))
        bench.measure(loads, options.rounds, options.seconds, time.monotonic() + 60 * options.minutes)
    finally:
        bench.stop()
    return bench


def _tell(began: float, line: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Run all of it; gives the exit status."""
    # Told to end, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    mode, before = os.environ.get("MODE") or "processes", os.environ.get("BEFORE", "")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="correio-logs-", dir=os.environ.get("FOLDER") or None))
    try:
        options = from_environment(_DEFAULTS | dict(os.environ))
        loads = chosen(os.environ.get("LOADS", ""), options.quick)
        trees = {BEFORE: _sources(before, folder / "sources")} if before else {}
        trees[NOW] = ROOT
        where = machine.describe(folder)
        bench = _measure(options, loads, mode, trees, folder, lambda line: _tell(began, line))
    except (OptionError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    names = list(trees)
    text = f"{table(bench.samples, names)}\n\n{cost_table(bench.samples, names, loads[0].key)}"
    print(f"\n{text}")
    out = options.out.with_name(f"logs-{mode}.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": where, "before": before, "samples": list(map(vars, bench.samples))}) + "\n")
    print(f"\nrecord: {out}")
    if not options.quick:
        path = ROOT / "docs" / "performance.md"
        section = f"{document.machine(where)}Before: `{before or 'not measured'}`.\n{document.code(text)}"
        path.write_text(document.refreshed(path.read_text(), {f"logs_{mode}": section}))
    problems = report.problems(report.figures(bench.samples)) + [
        f"{name} was left out: {why}" for name, why in bench.left_out.items()
    ]
    for line in problems:
        print(f"PROBLEM: {line}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
