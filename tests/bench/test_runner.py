"""What the runner asks the generator for, and when it asks no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import runner
from bench.generator import Job
from bench.load import Sent
from bench.peers import Peer
from bench.runner import Bench
from bench.scenarios import Scenario


class Sink(Peer):
    """A server that stores nothing, and of which nothing is asked."""

    name, what, stores = "sink", "nothing", False

    def start(self, folder: Path, recipients: int) -> None: ...

    def stop(self) -> None: ...

    def processes(self) -> dict[str, int]:
        return {}


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Job]]:
    """What was asked for; each took a second for a thousand messages."""
    asked: list[Job] = []

    def send(job: Job) -> Sent:
        asked.append(job)
        return Sent(job.count, job.count / 1000, 0.0)

    monkeypatch.setattr(runner, "by_generator", send)
    return asked


def measure(folder: Path, scenario: Scenario, rounds: int) -> Bench:
    bench = Bench(folder, lambda _: None)
    for name in ("one", "two"):
        bench.start(name, Sink())
    bench.measure([scenario], rounds, 2.0, float("inf"))
    return bench


def test_a_warm_up_tells_how_many_messages_make_a_load_and_is_not_counted(folder: Path, jobs: list[Job]) -> None:
    bench = measure(folder, Scenario("keep", 5, own=True), 2)
    assert [job.count for job in jobs] == [100, 2000, 100, 2000, 2000, 2000]
    assert [each.sent for each in bench.samples] == [2000] * 4


def test_every_other_round_goes_backwards(folder: Path, jobs: list[Job]) -> None:
    bench = measure(folder, Scenario("keep", 5, own=True), 3)
    assert [each.peer for each in bench.samples] == ["one", "two", "two", "one", "one", "two"]


def test_a_mailing_list_has_each_recipient_once_and_ends_when_all_have_got_theirs(
    folder: Path, jobs: list[Job]
) -> None:
    bench = measure(folder, Scenario("list", 5, own=True, recipients=350, once=100), 9)
    assert [job.first for job in jobs] == [0, 100, 0, 100, 200, 200]
    assert {job.count for job in jobs} == {100}
    assert [each.round for each in bench.samples] == [1, 1, 2, 2]
