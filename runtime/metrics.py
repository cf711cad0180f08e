"""A service's numbers as Prometheus reads them: the exposition formats are the library's, the numbers are ours.

A service counts with plain numbers, dicts and `Histogram`s on its way, and says only when it is asked how they are
called: it gives a function that makes metric families, of `counter`, `gauge` and `histogram`. Names follow
https://prometheus.io/docs/practices/naming/: base units, `_total` for what only grows.

Gives: `Exposition`, the text of all families, the process's own and the release among them.
Fails: with whatever the given function raises; `runtime/probes.py` answers 500 then.
Limits: families are made in another thread than the one that counts. A copy of a dict of plain keys, and of a list,
is one operation of the interpreter, so nothing is locked; numbers of one scrape may be some microseconds apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias, cast

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from runtime import VERSION, logs
from runtime.telling import Histogram
from runtime.vitals import Figures, Vitals

# A scrape takes milliseconds of the interpreter, which the service's loop needs: more of them get the same text.
_FRESH_SECONDS = 0.2
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# One number, or one for each value of a label, or of two.
Numbers: TypeAlias = float | Mapping[str, int] | Mapping[tuple[str, str], int]


def counter(name: str, text: str, values: Numbers, *labels: str) -> Metric:
    """A family that only grows while the process lives.

    :param name: without `_total`, which the formats add.
    """
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in _rows(values):
        family.add_metric(key, value)
    return family


def gauge(name: str, text: str, values: Numbers, *labels: str) -> Metric:
    """A family that goes up and down; arguments as for `counter`."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in _rows(values):
        family.add_metric(key, value)
    return family


def histogram(name: str, text: str, values: Histogram | Mapping[str, Histogram], *labels: str) -> Metric:
    """A family of distributions; arguments as for `counter`, with one label at most."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, distribution in {"": values}.items() if isinstance(values, Histogram) else dict(values).items():
        # The sum first: a value that comes in between is in the counts, where a rate forgives it.
        total, counts = distribution.sum, list(distribution.counts)
        below, buckets = 0, []
        for bound, count in zip([*map(float, distribution.bounds), float("inf")], counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(below)))
        family.add_metric([key] if key else [], buckets, total)
    return family


def figure(now: Figures, name: str) -> float:
    """A figure of those that a service last told, as a gauge's value; 0 before its first beat."""
    return cast(float, now.get(name, 0))


def _rows(values: Numbers) -> Iterator[tuple[list[str], float]]:
    if isinstance(values, int | float):
        yield [], values
        return
    for key, value in dict(values).items():
        yield [key] if isinstance(key, str) else list(key), value


class Exposition(Collector):
    """All that a service tells of itself in numbers.

    :param vitals: says whether it is ready.
    :param families: makes the service's own families; called in the thread that renders.
    """

    def __init__(self, vitals: Vitals, families: Callable[[], Iterable[Metric]]) -> None:
        self._vitals = vitals
        self._families = families
        self._rendered: dict[str, tuple[float, bytes]] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """What every service tells, then what this one does."""
        yield InfoMetricFamily("correio_build", "The release that runs.", value={"version": VERSION})
        yield gauge(
            "correio_ready",
            "1 while the service can do its work; /readyz says why not. Worry where it stays 0 for over a minute.",
            float(self._vitals.alive and not self._vitals.why_not),
        )
        yield counter(
            "correio_log_lines_lost",
            "Lines of the log that were dropped: there was no room for them, or nobody read them. "
            "Worry about each one; the log says why, where they are missing.",
            logs.lost(),
        )
        yield from self._families()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text, and its content type.

        :param accept: the Accept header of whoever asks: OpenMetrics, else the text format 0.0.4.
        """
        # Not as it stands: the library gives back the version that was asked for, whichever that is.
        encode, content_type = choose_encoder(_OPENMETRICS if "application/openmetrics-text" in accept else "")
        now = time.monotonic()
        at, text = self._rendered.get(content_type, (float("-inf"), b""))
        if now - at >= _FRESH_SECONDS:
            text = encode(self._registry)
            self._rendered[content_type] = (now, text)
        return text, content_type
