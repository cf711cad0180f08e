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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from bench.inprocess import HERE as HARNESS
from bench.inprocess import Services
from runtime.telling import Form

BUDGET = Path(__file__).with_name("budget.json")
# What the budget may exceed the count by, and on another Python the count the budget.
SLACK = 0.10
_WARM_UP = 5
_MESSAGES = 30


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
    """Counts calls by service and by function. What the harness does itself does not count."""

    def __init__(self) -> None:
        self.by_function: dict[str, Counter[str]] = {}

    @contextmanager
    def count(self, service: str) -> Iterator[None]:
        functions = self.by_function.setdefault(service, Counter())

        def on_event(frame: FrameType, event: str, argument: Any) -> None:
            if frame.f_code.co_filename in (HARNESS, __file__):
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


def count_load(load: Load) -> dict[str, Counter[str]]:
    """Calls by service and function of `sessions` × `_MESSAGES` messages in steady state."""
    sessions, pipelined, same, log = load
    profiler = Profiler()
    with tempfile.TemporaryDirectory(prefix="correio-budget-") as folder:
        services = Services(Path(folder), sessions, log)
        try:
            services.greet()
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
