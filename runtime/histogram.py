"""How often a value fell into each of some fixed ranges: what a distribution costs on the way of every message.

Gives: a `Histogram`, which is a few numbers, and the bounds that ours share. Pure; `runtime/metrics.py` shows it.
Limits: written from one thread; another one that reads it meanwhile may miss the value that is being added.
"""

from __future__ import annotations

from bisect import bisect_left

# From what a step takes on an idle machine to the longest that anybody is made to wait.
SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a line by hand to the default limit of a message.
OCTETS = (256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 33554432)


class Histogram:
    """Counts values by range.

    :param bounds: the upper bounds of the ranges, rising; each belongs to its range. One more range is above them.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        # One number for each range, and one for what is above the last bound.
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
