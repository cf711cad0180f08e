"""The guard against slow changes: calls per message, counted and not timed, so that no other program disturbs it."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.budget import compare
from tests.stack import ROOT

_BUDGET = {"a load": {"gateway": 100.0}}


def test_no_service_makes_more_calls_for_a_message_than_its_budget_allows() -> None:
    # A process of its own: whatever else runs in this one would be counted too.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bench.budget"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_a_count_over_the_budget_is_a_failure() -> None:
    assert compare({"a load": {"gateway": 100.0}}, _BUDGET, same_python=True) == []
    assert compare({"a load": {"gateway": 100.1}}, _BUDGET, same_python=True) == [
        "a load, gateway: 100.1 calls per message, the budget is 100.0"
    ]


def test_a_gain_that_nobody_recorded_is_a_failure() -> None:
    assert compare({"a load": {"gateway": 90.0}}, _BUDGET, same_python=True) == []
    assert "record the gain" in compare({"a load": {"gateway": 89.9}}, _BUDGET, same_python=True)[0]


def test_another_python_may_make_a_tenth_more_and_any_number_less() -> None:
    assert compare({"a load": {"gateway": 109.0}}, _BUDGET, same_python=False) == []
    assert compare({"a load": {"gateway": 10.0}}, _BUDGET, same_python=False) == []
    assert compare({"a load": {"gateway": 111.0}}, _BUDGET, same_python=False) != []


def test_what_has_no_budget_is_a_failure() -> None:
    assert compare({"a load": {"store": 1.0}}, _BUDGET, same_python=True) == [
        "a load, store: 1.0 calls per message, and no budget"
    ]
