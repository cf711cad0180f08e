"""The allocator: freed memory serves the next message without the kernel; other C libraries are left alone."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from runtime.allocator import KEPT, keep_freed

# Messages that come and go, as some sessions at a time send them; gives the page faults of a hundred.
_MESSAGES = """
import resource
from runtime.allocator import keep_freed
if {kept}:
    assert keep_freed()

def messages(count):
    for number in range(count):
        held = [bytes(size) for size in (100_000, 300_000, 200_000, 500_000)]

messages(5)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
messages(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(*, kept: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _MESSAGES.format(kept=kept)], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


def test_messages_that_come_and_go_ask_the_kernel_for_no_memory() -> None:
    assert _faults(kept=True) < 100, "less than a page for each hundred that a message has"
    assert _faults(kept=False) > 1000, "and it would without"


def test_the_limits_are_those_that_glibc_takes() -> None:
    assert keep_freed()
    # mallopt(3): DEFAULT_MMAP_THRESHOLD_MAX on 64 bits.
    assert KEPT <= 32 * 1024 * 1024


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert keep_freed() is False
