"""Samples to figures: medians over the rounds, ratios ours/peer, a table to read and a record to keep. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.runner import Sample

OURS = "correio"
Figures = dict[str, dict[str, dict[str, Any]]]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share (0 to 1) of the values is at most; 0 for none at all."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def bucket_percentile(buckets: Sequence[tuple[float, int]], share: float) -> float:
    """The value that this share (0 to 1) of what was counted is at most, taken as evenly spread in its bucket.

    :param buckets: upper bounds, rising to infinity, and how many values are at most that.
    """
    wanted, below, bottom = share * buckets[-1][1], 0, 0.0
    for bound, count in buckets:
        if count >= wanted and count > below:
            top = bottom if math.isinf(bound) else bound
            return bottom + (top - bottom) * (wanted - below) / (count - below)
        below, bottom = count, bound
    return 0.0


def figures(samples: Iterable[Sample]) -> Figures:
    """scenario → peer → medians over the rounds. Loads that failed do not count, and are counted as `failed`.

    `accepted` and `delivered` are messages a second; CPU is in µs a message; times are in ms; memory in KiB.
    """
    grouped: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        grouped.setdefault(sample.scenario, {}).setdefault(sample.peer, []).append(sample)
    return {
        scenario: {peer: _summary(its_samples) for peer, its_samples in peers.items()}
        for scenario, peers in grouped.items()
    }


def _summary(samples: list[Sample]) -> dict[str, Any]:
    good = [sample for sample in samples if not sample.error and sample.acknowledged]
    summary: dict[str, Any] = {
        "rounds": len(good),
        "failed": [sample.error or "nothing was acknowledged" for sample in samples if sample not in good],
        "not_stored": sum(sample.acknowledged - sample.stored for sample in good if not sample.settled),
    }
    if not good:
        return summary
    rates = [sample.acknowledged / sample.seconds for sample in good]
    summary |= {
        "accepted": statistics.median(rates),
        "accepted_range": [min(rates), max(rates)],
        "delivered": statistics.median(sample.stored / sample.stored_seconds for sample in good),
        "cpu_us": {role: statistics.median(s.cpu[role] / s.acknowledged * 1e6 for s in good) for role in good[0].cpu},
        "load_cpu_us": _median(good, lambda s: s.load_cpu / s.acknowledged * 1e6),
        "load_cpu_share": _median(good, lambda s: s.load_cpu / s.seconds),
        "peak_kib": {role: max(sample.peak[role] for sample in good) for role in good[0].peak},
    }
    for name in ("dot_to_250", "connect_to_greeting"):
        times = [value * 1000 for sample in good for value in getattr(sample, name)]
        if times:
            summary[name + "_ms"] = {
                "p50": percentile(times, 0.5),
                "p99": percentile(times, 0.99),
                "max": max(times),
                "count": len(times),
            }
    if counted := [sample.commits for sample in good if sample.commits]:
        together = [(each[0][0], sum(count for _, count in each)) for each in zip(*counted, strict=True)]
        summary["commit_ms"] = {
            "p50": bucket_percentile(together, 0.5) * 1000,
            "p99": bucket_percentile(together, 0.99) * 1000,
            "count": together[-1][1],
            "messages": sum(sample.acknowledged for sample in good) / max(1, together[-1][1]),
        }
    return summary


def _median(samples: list[Sample], value: Callable[[Sample], float]) -> float:
    return statistics.median(value(sample) for sample in samples)


def rate(summary: dict[str, Any] | None, queues: bool = False) -> float:
    """Messages a second that are in the mailboxes or, for one that stores none, that it took."""
    if not summary or not summary["rounds"]:
        return 0.0
    return float(summary["delivered"] if queues else summary["accepted"])


def table(result: Figures, peers: Sequence[str], queues: Sequence[str]) -> str:
    """Messages a second of each peer, and in brackets ours divided by that; a queue's rate is of deliveries."""
    rows = [["messages/s", *peers]]
    for scenario, by_peer in result.items():
        if OURS not in by_peer:
            continue
        ours = rate(by_peer[OURS])
        row = [scenario]
        for peer in peers:
            theirs = rate(by_peer.get(peer), peer in queues)
            ratio = f" ({ours / theirs:.2f})" if theirs and peer != OURS else ""
            row.append(f"{theirs:,.0f}{ratio}" if theirs else "-")
        rows.append(row)
    return aligned(rows)


def workers_table(result: Figures) -> str:
    """Our own stacks with one worker, two, and more."""
    rows = [["stack", "messages/s"]]
    for by_peer in result.values():
        rows += [[peer, f"{rate(summary):,.0f}"] for peer, summary in by_peer.items() if peer.startswith(OURS + "-")]
    return aligned(rows)


def times_table(result: Figures) -> str:
    """p50 and p99 of single messages, of the scenarios that measure them."""
    rows = [["ms: p50 / p99", "peer", "dot to 250", "connect to greeting", "a commit", "messages a commit"]]
    for scenario, by_peer in result.items():
        for peer, summary in by_peer.items():
            if "dot_to_250_ms" in summary:
                cells = [
                    f"{t['p50']:.1f} / {t['p99']:.1f}"
                    for t in (summary["dot_to_250_ms"], summary["connect_to_greeting_ms"])
                ]
                commit = summary.get("commit_ms")
                cells.append(f"{commit['p50']:.1f} / {commit['p99']:.1f}" if commit else "")
                cells.append(f"{commit['messages']:.1f}" if commit else "")
                rows.append([scenario, peer, *cells])
    return aligned(rows)


def cost_table(result: Figures) -> str:
    """CPU for each message and peak memory of each process."""
    rows = [["cost", "process", "CPU µs/message", "peak MiB"]]
    for scenario, by_peer in result.items():
        for summary in by_peer.values():
            for role, cpu in summary.get("cpu_us", {}).items():
                rows.append([scenario, role, f"{cpu:,.0f}", f"{summary['peak_kib'][role] / 1024:,.0f}"])
    return aligned(rows)


def problems(result: Figures) -> list[str]:
    """What makes figures worthless: loads that failed, and mail that was acknowledged and is not in a mailbox."""
    found = []
    for scenario, by_peer in result.items():
        for peer, summary in by_peer.items():
            found += [f"{scenario}, {peer}: {error}" for error in summary["failed"]]
            if summary["not_stored"]:
                found.append(f"{scenario}, {peer}: acknowledged and not stored: {summary['not_stored']}")
    return found


def aligned(rows: list[list[str]]) -> str:
    """Rows of cells as a table; the first one is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * sum(widths, 2 * len(widths) - 2), *lines[1:]])
