"""`python -m bench.logs`: what the log of conversations costs, of this checkout and of an earlier commit.

Stacks that differ in nothing but CONVERSATION and LOG_FORMAT are measured in turn, as `compare.py` does it, and with
its variables; BEFORE may be left out. Each rate is divided by that of the stack without a log in the same round.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from bench import report
from bench.compare import LOADS, cost, of, rates, ratio, role_of, run
from bench.runner import Sample

# A stack that logs nothing of a conversation; the default; and the default for programs.
OFF, DEFAULT, JSON = "off", "default", "json"
LOGS: dict[str, dict[str, str]] = {
    OFF: {"CONVERSATION": "off", "LOG_LEVEL": "WARNING"},
    DEFAULT: {},
    JSON: {"LOG_FORMAT": "json"},
}


def table(samples: Sequence[Sample], names: Sequence[str]) -> str:
    """Of each load: the rate without a log, and what is left of it with one, as median and quartiles of the rounds.

    :param names: of what is compared, such as BEFORE and NOW.
    """
    rows = [["load", "sources", "off/s", "default", "json", "off µs", "default µs", "json µs"]]
    for load in dict.fromkeys(sample.scenario for sample in samples):
        for name in names:
            its = {log: of(samples, load, f"{name}-{log}") for log in LOGS}
            if all(its.values()):
                off = rates(its[OFF])
                rows.append(
                    [
                        load,
                        name,
                        f"{statistics.median(off.values()):,.0f}",
                        *(ratio(rates(its[log]), off) for log in (DEFAULT, JSON)),
                        *(f"{statistics.median(map(cost, each.values())):,.0f}" for each in its.values()),
                    ]
                )
    return report.aligned(rows)


def cost_table(samples: Sequence[Sample], names: Sequence[str], load: str) -> str:
    """µs of processor time that a message of one load takes in the processes of each role."""
    roles = list(dict.fromkeys(role_of(process) for sample in samples for process in sample.cpu))
    rows = [[f"µs a message, {load}", *roles]]
    for name in names:
        for log in LOGS:
            if its := of(samples, load, f"{name}-{log}"):
                costs = [statistics.median(cost(each, role) for each in its.values()) for role in roles]
                rows.append([f"{name}, {log}", *(f"{each:,.0f}" for each in costs)])
    return report.aligned(rows)


def _tables(samples: Sequence[Sample], names: Sequence[str]) -> str:
    first = samples[0].scenario if samples else ""
    return f"{table(samples, names)}\n\n{cost_table(samples, names, first)}"


def main() -> int:
    """Run all of it; gives the exit status."""
    return run("logs", {f"-{log}": settings for log, settings in LOGS.items()}, LOADS, _tables)


if __name__ == "__main__":
    sys.exit(main())
