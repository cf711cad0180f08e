"""Short runs of `make chaos`: nothing acknowledged is lost, doubled or torn, on processes and on containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos import KINDS, run


@pytest.mark.stack
def test_worker_faults_cost_clients_nothing_but_time(folder: Path) -> None:
    report = run(folder, "processes", 11, 6, connections=50, kinds=["workers"], mailboxes=200, largest=300_000)
    print(report)
    assert report.good, str(report)
    assert not report.journal.errors
    assert report.journal.broken_connections == 0
    assert len(report.journal.acknowledged) > 100
    assert sum(report.faults.values()) > 3


@pytest.mark.stack
def test_a_large_mail_to_many_keeps_nobody_waiting_and_is_whole_in_each_mailbox(folder: Path) -> None:
    kinds = ["large-to-many"]
    report = run(folder, "processes", 15, 2, connections=5, kinds=kinds, mailboxes=15, largest=20_000)
    print(report)
    # How long a bystander waits is judged by `make chaos`: here the machine has other work.
    assert [line for line in report.unexplained if not line.startswith("a bystander")] == []
    assert report.verdict.good
    assert report.bystander.mails
    assert report.faults["large_to_many"] > 0


@pytest.mark.stack
def test_hundreds_that_send_large_messages_at_once_cost_others_nothing_and_no_more_memory_than_is_documented(
    folder: Path,
) -> None:
    kinds = ["large-crowd"]
    report = run(folder, "processes", 14, 1, connections=5, kinds=kinds, mailboxes=20, largest=20_000, crowd=600)
    print(report)
    # How long a bystander waits is judged by `make chaos`: here the machine has other work.
    assert [line for line in report.unexplained if not line.startswith("a bystander")] == []
    assert report.verdict.good
    assert not report.journal.errors
    assert sum(sent.delivery != "" for sent in report.journal.sent.values() if sent.size > 100_000) == 20
    assert report.bystander.mails


@pytest.mark.stack
@pytest.mark.parametrize(
    ("seed", "seconds", "crowd", "acknowledged", "faults"),
    [
        (12, 12, 300, 100, 5),
        pytest.param(14, 300, 600, 1000, 50, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_all_faults_lose_double_and_tear_nothing(
    folder: Path, seed: int, seconds: int, crowd: int, acknowledged: int, faults: int
) -> None:
    kinds = KINDS["processes"]
    report = run(
        folder, "processes", seed, seconds, connections=50, kinds=kinds, mailboxes=200, largest=1_000_000, crowd=crowd
    )
    print(report)
    assert report.good, str(report)
    assert len(report.journal.acknowledged) > acknowledged
    assert sum(report.faults.values()) > faults


@pytest.mark.long
@pytest.mark.containers
@pytest.mark.timeout(900)  # images may have to be built first, and a base image before that
def test_all_faults_on_containers_lose_double_and_tear_nothing(folder: Path, engine_answers: None) -> None:
    report = run(
        folder, "docker", 13, 20, connections=50, kinds=KINDS["docker"], mailboxes=50, largest=300_000, crowd=300
    )
    print(report)
    assert report.good, str(report)
    assert len(report.journal.acknowledged) > 100
    assert sum(report.faults.values()) > 3
