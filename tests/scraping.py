"""What tests ask of a service over HTTP: its pages, and its numbers by name and labels."""

from __future__ import annotations

import http.client
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.conditions import DEADLINE

Labels = frozenset[tuple[str, str]]


class Samples:
    """Numbers: `samples("correio_gateway_farewells_total", kind="idle")`; those that are not there are 0."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._values: defaultdict[tuple[str, Labels], float] = defaultdict(float)
        for family in families:
            for sample in family.samples:
                self._values[sample.name, frozenset(sample.labels.items())] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        return self._values[name, frozenset(labels.items())]


def page(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    """Status and body of a page."""
    with closing(http.client.HTTPConnection(host, port, timeout=DEADLINE)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def families(port: int) -> list[Metric]:
    """All that a service tells."""
    status, text = page(port, "/metrics")
    assert status == 200, text
    return list(text_string_to_metric_families(text))


def scrape(port: int) -> Samples:
    return Samples(families(port))
