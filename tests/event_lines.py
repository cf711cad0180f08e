"""Event logs whose lines a test can read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

from runtime.telling import EventLog, Form, Output


class Lines:
    """In the place of an `Output`: what was written, in its order."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, lines: bytes, count: int = 1) -> None:
        assert lines.endswith(b"\n")
        assert lines.count(b"\n") == count
        self.writes.append(lines)

    @property
    def text(self) -> str:
        return b"".join(self.writes).decode()

    @property
    def messages(self) -> list[str]:
        """What lines for people say, without their time, service and level."""
        return [line.partition(" INFO ")[2] for line in self.text.split("\n")[:-1]]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Lines for programs."""
        return [json.loads(line) for line in self.text.split("\n")[:-1]]


def event_log(
    form: Form = "human", service: str = "test", clock: Callable[[], int] = time.time_ns
) -> tuple[EventLog, Lines]:
    lines = Lines()
    return EventLog(cast(Output, lines), service, form, clock), lines
