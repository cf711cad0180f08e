"""The most memory that each process of a stack had, against what docs/operations.md says of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.container_stack import ContainerStack
from tests.stack import Stack

# What docs/operations.md promises ("Memory"), in MiB: under any load, of 3,000 connections or so.
DOCUMENTED = {"gateway": 320, "session_worker": 160, "mailbox_store": 160}
# A process that is killed and started again begins anew, so it is looked at all the time.
_PAUSE = 0.5


class Peaks:
    """Looks at the processes from `with` to its end; `mib` has the peak of each service."""

    def __init__(self, stack: Stack | ContainerStack) -> None:
        self.mib: dict[str, float] = {}
        self._stack = stack
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="peaks", daemon=True)

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    @property
    def over(self) -> list[str]:
        """Which services had more than documented, a line each."""
        return [
            f"{name}: {mib:.0f} MiB, {DOCUMENTED[name]} are documented"
            for name, mib in self.mib.items()
            if mib > DOCUMENTED[name]
        ]

    def __str__(self) -> str:
        told = ", ".join(f"{name} {mib:.0f} of {DOCUMENTED[name]} MiB" for name, mib in sorted(self.mib.items()))
        return f"peak memory: {told}"

    def _look_on(self) -> None:
        while not self._ended.wait(_PAUSE):
            self._look()

    def _look(self) -> None:
        for name, pid in self._stack.pids().items():
            service = name.partition("-")[0]
            # It may be gone by now.
            with suppress(OSError, IndexError):
                self.mib[service] = max(self.mib.get(service, 0.0), peak(pid) / 2**20)


def peak(pid: int) -> int:
    """The highest resident size of a process so far, in octets (Linux: VmHWM)."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def peaks(pids: Mapping[str, int]) -> dict[str, int]:
    """Those of several, by their names."""
    return {name: peak(pid) for name, pid in pids.items()}
