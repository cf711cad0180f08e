"""Samples become medians and ratios; what failed is told and does not count."""

from __future__ import annotations

from dataclasses import replace

from bench import report
from bench.runner import Sample

SAMPLE = Sample(
    "keep s=1", "correio", 1, 100, 100, 1.0, 100, 1.0, True, "", 0.1, {"gateway": 0.01}, {"gateway": 2048}
)


def _samples(peer: str, *seconds: float) -> list[Sample]:
    return [replace(SAMPLE, peer=peer, seconds=each, stored_seconds=2 * each) for each in seconds]


def test_the_median_of_the_rounds_is_what_is_told() -> None:
    summary = report.figures(_samples("correio", 1.0, 2.0, 10.0))["keep s=1"]["correio"]
    assert summary["accepted"] == 50
    assert summary["accepted_range"] == [10, 100]
    assert summary["delivered"] == 25
    assert round(summary["cpu_us"]["gateway"]) == 100


def test_the_ratio_is_ours_to_theirs_and_a_queue_counts_by_its_deliveries() -> None:
    result = report.figures(_samples("correio", 1.0) + _samples("other", 4.0) + _samples("queue", 1.0))
    row = report.table(result, ["correio", "other", "queue", "absent"], ["queue"]).splitlines()[-1]
    assert row.split() == ["keep", "s=1", "100", "25", "(4.00)", "50", "(2.00)", "-"]


def test_a_load_that_failed_does_not_count_and_is_a_problem() -> None:
    failed = replace(SAMPLE, error="refused", acknowledged=0, seconds=0.001)
    result = report.figures([failed, *_samples("correio", 1.0)])
    assert result["keep s=1"]["correio"]["accepted"] == 100
    assert report.problems(result) == ["keep s=1, correio: refused"]


def test_mail_that_was_acknowledged_and_not_stored_is_a_problem() -> None:
    lost = replace(SAMPLE, stored=97, settled=False)
    assert report.problems(report.figures([lost])) == ["keep s=1, correio: acknowledged and not stored: 3"]


def test_times_are_told_as_percentiles_of_all_rounds() -> None:
    timed = replace(SAMPLE, dot_to_250=[n / 1000 for n in range(1, 101)], connect_to_greeting=[0.002])
    result = report.figures([timed])
    assert result["keep s=1"]["correio"]["dot_to_250_ms"] == {"p50": 51.0, "p99": 100.0, "max": 100.0, "count": 100}
    assert "51.0 / 100.0" in report.times_table(result)


def test_the_cost_of_each_process_is_told() -> None:
    assert report.cost_table(report.figures([SAMPLE])).splitlines()[-1].split() == [
        "keep",
        "s=1",
        "gateway",
        "100",
        "2",
    ]


def test_commits_are_told_beside_the_times_they_are_part_of() -> None:
    commits = [(0.001, 50), (0.002, 90), (float("inf"), 100)]
    timed = replace(SAMPLE, dot_to_250=[0.004], connect_to_greeting=[0.002], commits=commits, acknowledged=400)
    summary = report.figures([timed, timed])["keep s=1"]["correio"]
    assert summary["commit_ms"] == {"p50": 1.0, "p99": 2.0, "count": 200, "messages": 4.0}
    assert "1.0 / 2.0" in report.times_table(report.figures([timed]))


def test_a_percentile_of_buckets_lies_inside_of_the_bucket_that_it_falls_into() -> None:
    buckets = [(0.001, 0), (0.002, 10), (0.004, 20), (float("inf"), 20)]
    assert report.bucket_percentile(buckets, 0.25) == 0.0015
    assert report.bucket_percentile(buckets, 0.75) == 0.003
    assert report.bucket_percentile(buckets, 1.0) == 0.004
    assert report.bucket_percentile([(0.001, 0), (float("inf"), 0)], 0.5) == 0.0
