"""docs/life-of-a-message.md is held to what is executed."""

from __future__ import annotations

import doctest

import pytest

from tests.tracing import LIFE, files, run_through, table

# Whoever makes them fewer writes the new number here. It never goes up.
MODULES = {"RCPT": 18, "message": 36}


def test_the_example_runs_as_it_stands() -> None:
    failed, tried = doctest.testfile(str(LIFE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert (failed, tried) == (0, 7)


@pytest.mark.stack
def test_the_table_of_modules_is_what_is_run_through_and_they_are_few() -> None:
    functions = run_through()
    assert table(functions) in LIFE.read_text("utf-8"), "python -m tests.tracing puts this one in"
    assert {command: len(files(its)) for command, its in functions.items()} == MODULES
