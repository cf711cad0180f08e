"""What the log costs: ratios within each round, and processor time of each process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.logs import cost_table, table
from bench.peers import Deployed
from bench.runner import Sample
from tests.bench.test_report import SAMPLE
from tests.deploy.deploying import processes_of
from tests.stack import ROOT, takes_mail

LOAD = replace(SAMPLE, scenario="keep s=100")


def samples(peer: str, *seconds: float) -> Iterator[Sample]:
    """Rounds of 100 messages in so many seconds, each of which has cost a thousandth of that."""
    for turn, each in enumerate(seconds, 1):
        cpu = {"gateway": each / 1000, "mailbox_store": each / 500}
        yield replace(LOAD, peer=peer, round=turn, seconds=each, cpu=cpu)


def test_a_rate_is_divided_by_that_of_the_same_round() -> None:
    # The machine is half as fast in the second round, and with it both; the default costs a tenth.
    rounds = [1.0, 2.0, 1.0]
    told = table(
        [
            *samples("now-off", *rounds),
            *samples("now-default", *(each / 0.9 for each in rounds)),
            *samples("now-json", 1.25, 4.0, 1.0),
        ],
        ["before", "now"],
    )
    row = told.splitlines()[-1]
    assert row.split("  ")[0] == "keep s=100"
    assert " ".join(row.split()[2:]) == "now 100 0.90 (0.90 to 0.90) 0.80 (0.65 to 0.90) 30 33 38"


def test_loads_that_failed_do_not_count_and_what_is_not_complete_has_no_row() -> None:
    failed = replace(LOAD, peer="now-default", error="refused", acknowledged=0)
    told = table([*samples("now-off", 1.0), failed, *samples("now-json", 1.0)], ["now"])
    assert len(told.splitlines()) == 2


def test_the_cost_of_each_process_is_told_for_one_load() -> None:
    told = cost_table([*samples("now-off", 1.0, 2.0, 3.0), *samples("now-json", 4.0)], ["now"], "keep s=100")
    head, _, off, json = told.splitlines()
    assert head.split()[-2:] == ["gateway", "store"]
    assert off.split()[-2:] == ["20", "40"]
    assert json.split()[-2:] == ["40", "80"]


@pytest.mark.stack
def test_a_stack_is_run_as_make_up_runs_it_and_leaves_nothing(folder: Path) -> None:
    peer = Deployed(ROOT, {"MODE": "processes", "CONVERSATION": "off"})
    peer.start(folder, 2)
    try:
        assert takes_mail(peer.port)
        assert set(peer.processes()) == {"gateway", "mailbox_store", "worker-1", "worker-2"}
        spent = peer.cpu_seconds()
        assert set(spent) == {*peer.processes(), "supervisor"}
        assert all(each > 0 for each in spent.values())
    finally:
        peer.stop()
    assert processes_of(folder / "run") == []
