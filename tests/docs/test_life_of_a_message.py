"""docs/life-of-a-message.md is held to what is executed."""

from __future__ import annotations

import doctest

import pytest

from tests.stack import ROOT
from tests.tracing import files, run_through

LIFE = ROOT / "docs" / "life-of-a-message.md"
# Whoever makes them fewer writes the new number here. It never goes up.
MODULES = {"RCPT": 35, "message": 46}


def test_the_example_runs_as_it_stands() -> None:
    failed, tried = doctest.testfile(str(LIFE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert (failed, tried) == (0, 7)


@pytest.mark.stack
def test_a_cold_rcpt_and_a_message_run_through_few_modules() -> None:
    functions = run_through()
    found = {command: files(its) for command, its in functions.items()}
    assert {command: its for command, its in found.items() if len(its) > MODULES[command]} == {}
    # That all of it is seen: each service runs through modules of its own, and through the codec.
    for service, its in functions["RCPT"].items():
        packages = {each.partition("/")[0] for each in its}
        assert packages >= {service.replace(" ", "_"), "wire"}
