"""Options come from the environment, and a bad one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.options import OptionError, from_environment


def test_a_quick_run_is_shorter_and_leaves_the_documents_alone() -> None:
    quick, full = from_environment({"QUICK": "1"}), from_environment({})
    assert quick.quick
    assert not full.quick
    assert quick.minutes < 3
    assert full.minutes <= 25
    assert full.plot.parent.name == "docs"
    assert quick.plot.parent.name != "docs"


def test_variables_count() -> None:
    given = {"ROUNDS": "7", "LOAD_SECONDS": "0.5", "MINUTES": "4", "PEERS": "correio,postfix", "OUT": "/tmp/x.json"}
    options = from_environment(given)
    assert (options.rounds, options.seconds, options.minutes) == (7, 0.5, 4)
    assert options.peers == ("correio", "postfix")
    assert options.out == Path("/tmp/x.json")


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan"])
def test_a_number_that_is_none_is_named(value: str) -> None:
    with pytest.raises(OptionError, match=f"ROUNDS={value}: must be a number over 0"):
        from_environment({"ROUNDS": value})
