"""`python -m bench.compare`: this checkout next to an earlier commit, in turn, under the same loads.

Both are started as `make up` starts them, with default settings, and this checkout's generator loads both. A round
goes through all loads, each for the one and then for the other, the next round the other way about. So a ratio is of
two loads that were measured within seconds, and what is told is the median of the rounds, with its quartiles.

Variables: BEFORE, the commit; LOADS, some of them, by their names and separated by commas; MODE, `processes` or
`docker`; and those of `options.py`, ROUNDS being 9.
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import document, machine, report
from bench.options import OptionError, from_environment
from bench.peers import Deployed
from bench.peers.base import ROOT
from bench.runner import Bench, Sample
from bench.scenarios import KIB, MAILING_LIST, PIPELINED, Scenario, new_senders, throughput

BEFORE, NOW = "before", "now"
LOADS = [
    *(throughput(sessions, keep, own=True) for keep in (True, False) for sessions in (20, 100)),
    new_senders(100),
    MAILING_LIST,
    new_senders(20),
    *(throughput(sessions, True, own=True) for sessions in (1, 500)),
    PIPELINED,
    Scenario("100 KiB s=20", 20, own=True, size=100 * KIB),
]
# Where no load is named: nine rounds of these take some six minutes.
_USUAL = LOADS[:6]
_QUICK = [throughput(100, keep, own=True) for keep in (True, False)]
_DEFAULTS = {"ROUNDS": "9", "LOAD_SECONDS": "1.5", "MINUTES": "60"}


def chosen(names: str) -> list[Scenario]:
    """The loads of these names, separated by commas.

    :raises OptionError: for a name that none has.
    """
    known = {load.key: load for load in LOADS}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise OptionError(f"LOADS={names}: there is no {name}, but {', '.join(known)}")
    return [known[name] for name in wanted]


def of(samples: Sequence[Sample], load: str, peer: str) -> dict[int, Sample]:
    """Round → what that peer did of a load, where it did it."""
    return {
        each.round: each
        for each in samples
        if (each.scenario, each.peer) == (load, peer) and each.acknowledged and not each.error
    }


def rates(samples: Mapping[int, Sample]) -> dict[int, float]:
    """Messages a second in each round."""
    return {turn: each.acknowledged / each.seconds for turn, each in samples.items()}


def cost(sample: Sample, role: str = "") -> float:
    """µs of processor time that a message took in the processes of that role, or of all."""
    spent = sum(seconds for each, seconds in sample.cpu.items() if role in ("", role_of(each)))
    return spent / sample.acknowledged * 1e6


def role_of(process: str) -> str:
    """What it is called in a table; the workers are one."""
    return "workers" if process.startswith("worker") else process.replace("mailbox_", "")


def ratio(values: Mapping[int, float], base: Mapping[int, float]) -> str:
    """Of the rounds that have both: the median and, in brackets, the quartiles of one divided by the other."""
    ratios = [value / base[turn] for turn, value in values.items() if turn in base]
    if len(ratios) < 2:
        return "".join(f"{each:.2f}" for each in ratios) or "-"
    low, middle, high = statistics.quantiles(ratios, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def table(samples: Sequence[Sample]) -> str:
    """Of each load: the rates, and the processor time of a message in all processes and in those of each role."""
    roles = list(dict.fromkeys(role_of(process) for sample in samples for process in sample.cpu))
    rows = [["load", "before/s", "now/s", "ratio", "before µs", "now µs", "ratio", *roles]]
    for load in dict.fromkeys(sample.scenario for sample in samples):
        before, now = of(samples, load, BEFORE), of(samples, load, NOW)
        if before and now:
            rows.append(
                [
                    load,
                    *(f"{statistics.median(rates(its).values()):,.0f}" for its in (before, now)),
                    ratio(rates(now), rates(before)),
                    *(_median_cost(its) for its in (before, now)),
                    ratio(_costs(now), _costs(before)),
                    *(f"{_median_cost(before, role)}→{_median_cost(now, role)}" for role in roles),
                ]
            )
    return report.aligned(rows)


def _costs(samples: Mapping[int, Sample]) -> dict[int, float]:
    return {turn: cost(each) for turn, each in samples.items()}


def _median_cost(samples: Mapping[int, Sample], role: str = "") -> str:
    return f"{statistics.median(cost(each, role) for each in samples.values()):,.0f}"


def sources(commit: str, folder: Path) -> Path:
    """The tree of a commit, as files in that folder.

    :raises subprocess.CalledProcessError: there is no such commit.
    """
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    # Not by tarfile: its filters came with Python 3.11.4, and Debian 12 has 3.11.2.
    folder.mkdir()
    subprocess.run(["tar", "--extract", "--directory", folder], input=packed, check=True)
    return folder


def run(
    name: str,
    kinds: Mapping[str, Mapping[str, str]],
    loads: Sequence[Scenario],
    tables: Callable[[Sequence[Sample], Sequence[str]], str],
) -> int:
    """Measure stacks of each kind, of this checkout and of BEFORE if it is given; gives the exit status.

    :param name: of the record and of the document's section, with the mode.
    :param kinds: what a stack of each kind is set to, beside the default; its name is put behind BEFORE or NOW.
    :param loads: what is measured where LOADS names none.
    :param tables: makes a text of the samples and of those of BEFORE and NOW that were measured.
    """
    # Told to end, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    mode, before = os.environ.get("MODE") or "processes", os.environ.get("BEFORE", "")
    folder = Path(tempfile.mkdtemp(prefix=f"correio-{name}-", dir=os.environ.get("FOLDER") or None))
    began = time.monotonic()
    bench = Bench(
        folder, lambda line: print(f"{time.monotonic() - began:6.0f} s  {line}", file=sys.stderr, flush=True)
    )
    try:
        options = from_environment(_DEFAULTS | dict(os.environ))
        names = os.environ.get("LOADS")
        wanted = chosen(names) if names else _QUICK if options.quick else loads
        trees = {BEFORE: sources(before, folder / "sources")} if before else {}
        trees[NOW] = ROOT
        where = machine.describe(folder)
        for when, tree in trees.items():
            for kind, settings in kinds.items():
                bench.start(f"{when}{kind}", Deployed(tree, {**settings, "MODE": mode}))
        bench.measure(wanted, options.rounds, options.seconds, time.monotonic() + 60 * options.minutes)
    except (OptionError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)
    text = tables(bench.samples, list(trees))
    print(f"\n{text}")
    out = options.out.with_name(f"{name}-{mode}.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": where, "before": before, "samples": list(map(vars, bench.samples))}) + "\n")
    print(f"\nrecord: {out}")
    page = ROOT / "docs" / "performance.md"
    section = f"{name}_{mode}"
    if not options.quick and f"figures: {section} " in page.read_text():
        figures = f"{document.machine(where)}Before: `{before or 'not measured'}`.\n{document.code(text)}"
        page.write_text(document.refreshed(page.read_text(), {section: figures}))
    problems = report.problems(report.figures(bench.samples)) + [
        f"{name} was left out: {why}" for name, why in bench.left_out.items()
    ]
    for line in problems:
        print(f"PROBLEM: {line}", file=sys.stderr)
    return 1 if problems else 0


def main() -> int:
    """Compare; gives the exit status."""
    if not os.environ.get("BEFORE"):
        print("bench: BEFORE=: name the commit to compare with", file=sys.stderr)
        return 2
    return run("compare", {"": {}}, _USUAL, lambda samples, _: table(samples))


if __name__ == "__main__":
    sys.exit(main())
