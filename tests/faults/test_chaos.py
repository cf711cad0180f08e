"""Short runs of `make chaos`: nothing acknowledged is lost, doubled or torn, on processes and on containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos import KINDS, run


@pytest.mark.stack
def test_worker_faults_cost_clients_nothing_but_time(folder: Path) -> None:
    report = run(folder, "processes", 11, 10, connections=50, kinds=["workers"], mailboxes=200, largest=300_000)
    print(report)
    assert report.good, str(report)
    assert not report.journal.errors
    assert report.journal.broken_connections == 0
    assert len(report.journal.acknowledged) > 100
    assert sum(report.faults.values()) > 3


@pytest.mark.stack
def test_all_faults_lose_double_and_tear_nothing(folder: Path) -> None:
    kinds = KINDS["processes"]
    report = run(folder, "processes", 12, 20, connections=50, kinds=kinds, mailboxes=200, largest=1_000_000)
    print(report)
    assert report.good, str(report)
    assert len(report.journal.acknowledged) > 100
    assert sum(report.faults.values()) > 5


@pytest.mark.long
@pytest.mark.stack
@pytest.mark.timeout(600)
def test_five_minutes_of_all_faults_lose_double_and_tear_nothing(folder: Path) -> None:
    kinds = KINDS["processes"]
    report = run(folder, "processes", 14, 300, connections=50, kinds=kinds, mailboxes=200, largest=1_000_000)
    print(report)
    assert report.good, str(report)
    assert len(report.journal.acknowledged) > 1000
    assert sum(report.faults.values()) > 50


@pytest.mark.containers
@pytest.mark.timeout(900)  # images may have to be built first, and a base image before that
def test_all_faults_on_containers_lose_double_and_tear_nothing(folder: Path, engine_answers: None) -> None:
    report = run(folder, "docker", 13, 20, connections=50, kinds=KINDS["docker"], mailboxes=50, largest=300_000)
    print(report)
    assert report.good, str(report)
    assert len(report.journal.acknowledged) > 100
    assert sum(report.faults.values()) > 3
