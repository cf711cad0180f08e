"""Where a stack's numbers are: RUN/prometheus-targets.json, which Prometheus reads by itself (`file_sd_configs`).

Gives: `Target`; `of_processes`, the ports of METRICS_PORT; `save` and `forget` for the file.
Limits: the file is as true as the last `make up` or `make restart-…`. A container that its engine starts again by
itself nearly always keeps its address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.owner import Owner, give

NAME = "prometheus-targets.json"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Target:
    """One process that tells its numbers: `instance` is its name in `make status`."""

    address: str
    port: int
    service: str
    instance: str


def of_processes(metrics_port: int, workers: int) -> list[Target]:
    """The gateway, the store and each worker, from METRICS_PORT on; none where that is 0."""
    if not metrics_port:
        return []
    return [
        Target(LOOPBACK, metrics_port, "gateway", "gateway"),
        Target(LOOPBACK, metrics_port + 1, "mailbox_store", "mailbox_store"),
        *(
            Target(LOOPBACK, metrics_port + 1 + number, "session_worker", f"session_worker_{number}")
            for number in range(1, workers + 1)
        ),
    ]


def save(run: Path, targets: Iterable[Target], owner: Owner) -> None:
    """Write the list, beside and renamed, so that Prometheus never reads half; no targets, no file."""
    groups = [
        {
            "targets": [f"{target.address}:{target.port}"],
            "labels": {"service": target.service, "instance": target.instance},
        }
        for target in targets
    ]
    if not groups:
        forget(run)
        return
    beside = run / f"{NAME}.new"
    beside.write_text(json.dumps(groups, indent=1) + "\n", encoding="utf-8")
    # Prometheus is another user, as a rule.
    beside.chmod(0o644)
    give(beside, owner)
    beside.replace(run / NAME)


def forget(run: Path) -> None:
    (run / NAME).unlink(missing_ok=True)
