"""Waiting for what is to become true, with a deadline that only a defect reaches; no test sleeps for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# Seconds, with room for a machine whose processors are busy elsewhere.
DEADLINE = 30.0


def wait_until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Return once `condition()` is true; fail the test, naming `what`, after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s in vain: {what}")
        time.sleep(0.01)


async def until(condition: Callable[[], object], what: str = "") -> None:
    """As `wait_until`, for what happens on the loop that the test runs on; `what` begins with "for"."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE} s in vain {what}"
        await asyncio.sleep(0.005)
