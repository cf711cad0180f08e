"""The collector is set for a service, and still collects."""

from __future__ import annotations

import subprocess
import sys

from tests.stack import ROOT

_PROGRAM = """
import gc, weakref
from runtime.garbage import tune

class Knot:
    def __init__(self):
        self.itself = self

before = gc.get_threshold()
tune()
assert gc.get_threshold()[0] > before[0], gc.get_threshold()
assert gc.get_freeze_count() > 1000, gc.get_freeze_count()
# To ask the reference would hold the knot in the very moment in which newer interpreters collect.
gone = []
lost = weakref.ref(Knot(), gone.append)
kept = []
while not gone and len(kept) < 20_000:
    kept.append([])
assert gone, "cycles are never collected"
print("fine")
"""


def test_what_there_is_stays_and_cycles_are_collected_later() -> None:
    # A process of its own: the collector is the whole process's.
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
