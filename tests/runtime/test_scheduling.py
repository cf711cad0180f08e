"""The kernel's policy: every thread of every service has it, and a refusal harms nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.scheduling import take_turns
from tests.conditions import wait_until
from tests.stack import Stack


def _threads(pid: int) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]


def test_every_thread_of_every_service_takes_turns(folder: Path) -> None:
    with Stack(folder) as stack:
        for name, process in stack.processes.items():
            # Of two workers one may still be starting.
            wait_until(lambda pid=process.pid: len(_threads(pid)) > 1, f"{name} has ZeroMQ's threads")
            policies = {thread: os.sched_getscheduler(thread) for thread in _threads(process.pid)}
            assert set(policies.values()) == {os.SCHED_BATCH}, (name, policies)


@pytest.mark.parametrize("refusal", [PermissionError("a filter of system calls"), AttributeError("not on Linux")])
def test_where_it_is_refused_the_service_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(os, "sched_setscheduler", refuse)

    assert take_turns() is False
