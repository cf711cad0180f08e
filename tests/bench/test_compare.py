"""Two checkouts under the same loads: ratios within each round, processor time by role, loads by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.compare import LOADS, chosen, main, table
from bench.options import OptionError
from bench.runner import Sample
from tests.bench.test_report import SAMPLE


def samples(peer: str, *seconds: float) -> Iterator[Sample]:
    """Rounds of 100 messages in so many seconds, each of which has cost a thousandth of that in each process."""
    for turn, each in enumerate(seconds, 1):
        cpu = dict.fromkeys(("gateway", "mailbox_store", "worker-1", "worker-2"), each / 1000)
        yield replace(SAMPLE, peer=peer, round=turn, seconds=each, cpu=cpu)


def test_rates_and_costs_are_divided_within_a_round_and_the_workers_are_one() -> None:
    # The machine is half as fast in the second round, and with it both.
    told = table([*samples("before", 1.0, 2.0, 1.0), *samples("now", 2.0, 4.0, 1.0)])
    head, _, row = told.splitlines()
    assert head.split()[-3:] == ["gateway", "store", "workers"]
    rate, spent = ["100", "50", "0.50", "(0.50", "to", "0.75)"], ["40", "80", "2.00", "(1.50", "to", "2.00)"]
    assert row.split() == ["keep", "s=1", *rate, *spent, "10→20", "10→20", "20→40"]


def test_rounds_that_failed_and_loads_that_one_of_the_two_did_not_do_have_no_row() -> None:
    failed = replace(SAMPLE, peer="now", error="refused", acknowledged=0)
    assert len(table([*samples("before", 1.0), failed]).splitlines()) == 2


def test_loads_are_chosen_by_name_and_a_wrong_one_is_named() -> None:
    assert chosen(",".join(load.key for load in LOADS)) == LOADS
    assert [load.key for load in chosen("new s=20, mailing list")] == ["new s=20", "mailing list"]
    with pytest.raises(OptionError, match=r"^LOADS=keep: there is no keep, but keep s=20, "):
        chosen("keep")


def test_a_commit_must_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("BEFORE", raising=False)
    assert main() == 2
    assert "BEFORE=" in capsys.readouterr().err
