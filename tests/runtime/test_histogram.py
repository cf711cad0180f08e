"""Values fall into the range whose upper bound they do not exceed, and none is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runtime.histogram import OCTETS, SECONDS, Histogram


def test_a_bound_belongs_to_the_range_below_it() -> None:
    histogram = Histogram((1, 10))
    for value in (0, 1, 1.5, 10, 10.5, 1e9):
        histogram.add(value)
    assert histogram.counts == [2, 2, 2]


@given(st.lists(st.floats(0, 1e6)))
def test_every_value_is_counted_once_and_summed(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    assert sum(histogram.counts) == len(values)
    assert abs(histogram.sum - sum(values)) <= 1e-6 * max(1.0, sum(values))


def test_the_bounds_rise() -> None:
    for bounds in (SECONDS, OCTETS):
        assert all(lower < upper for lower, upper in pairwise(bounds))
