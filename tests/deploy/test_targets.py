"""The list of where the numbers are, as Prometheus reads it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from deploy import targets
from deploy.owner import caller
from deploy.targets import Target, of_processes


def test_each_process_has_a_port_of_its_own_counted_from_the_first() -> None:
    assert [(target.port, target.service, target.instance) for target in of_processes(9120, 2)] == [
        (9120, "gateway", "gateway"),
        (9121, "mailbox_store", "mailbox_store"),
        (9122, "session_worker", "session_worker_1"),
        (9123, "session_worker", "session_worker_2"),
    ]
    assert of_processes(0, 2) == []


def test_the_file_is_a_list_of_groups_that_anybody_may_read(folder: Path) -> None:
    targets.save(folder, [Target("127.0.0.1", 9120, "gateway", "gateway")], caller())
    path = folder / targets.NAME
    assert json.loads(path.read_text()) == [
        {"targets": ["127.0.0.1:9120"], "labels": {"service": "gateway", "instance": "gateway"}}
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(folder.iterdir()) == [path]


def test_without_targets_there_is_no_file(folder: Path) -> None:
    targets.save(folder, of_processes(9120, 1), caller())
    targets.save(folder, [], caller())
    targets.forget(folder)
    assert list(folder.iterdir()) == []
