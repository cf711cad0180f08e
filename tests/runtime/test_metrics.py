"""What a service counts, as Prometheus reads it: checked with the library's own parsers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from runtime import VERSION
from runtime.metrics import Exposition, counter, figure, gauge, histogram
from runtime.telling import Histogram
from runtime.vitals import Vitals

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def times() -> Histogram:
    distribution = Histogram((0.1, 1))
    for value in (0.05, 0.5, 0.5, 5):
        distribution.add(value)
    return distribution


def families() -> Iterator[Metric]:
    yield counter("correio_test_things", "Things.", 3)
    yield counter("correio_test_replies", "Replies.", {("MAIL", "250"): 2, ("other", "500"): 1}, "verb", "code")
    yield gauge("correio_test_open", "Open.", {"a": 1, "b": 2}, "name")
    yield histogram("correio_test_seconds", "Seconds.", times())
    yield histogram("correio_test_kind_seconds", "Seconds.", {"lookup": times()}, "kind")


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in plain(text.decode())
        for sample in family.samples
    }


def test_families_say_what_was_counted() -> None:
    found = samples(Exposition(Vitals("test"), families).render("")[0])
    assert found["correio_test_things_total", ()] == 3
    assert found["correio_test_replies_total", (("code", "250"), ("verb", "MAIL"))] == 2
    assert found["correio_test_open", (("name", "b"),)] == 2
    assert [found["correio_test_seconds_bucket", (("le", bound),)] for bound in ("0.1", "1.0", "+Inf")] == [1, 3, 4]
    assert found["correio_test_seconds_count", ()] == 4
    assert math.isclose(found["correio_test_seconds_sum", ()], 6.05)
    assert found["correio_test_kind_seconds_bucket", (("kind", "lookup"), ("le", "+Inf"))] == 4


def test_every_service_tells_its_release_its_process_and_whether_it_is_ready() -> None:
    vitals = Vitals("test")
    found = samples(Exposition(vitals, lambda: ()).render("")[0])
    assert found["correio_build_info", (("version", VERSION),)] == 1
    assert found["correio_ready", ()] == 0
    assert found["process_resident_memory_bytes", ()] > 0
    vitals.beat(True)
    assert samples(Exposition(vitals, lambda: ()).render("")[0])["correio_ready", ()] == 1


@pytest.mark.parametrize(("accept", "content_type"), [("", "text/plain"), (OPENMETRICS, OPENMETRICS)])
def test_whoever_asks_chooses_the_format(accept: str, content_type: str) -> None:
    text, given = Exposition(Vitals("test"), families).render(accept)
    assert given.startswith(content_type)
    parse = openmetrics if accept else plain
    assert {"correio_test_open", "correio_test_seconds"} <= {family.name for family in parse(text.decode())}


def test_there_are_two_formats_whatever_versions_are_asked_for() -> None:
    exposition = Exposition(Vitals("test"), families)
    versions = ["1.0.0", "7", "abc", *map(str, range(100))]
    asked = [f"{kind};version={version}" for kind in ("text/plain", OPENMETRICS) for version in versions]
    assert len({exposition.render(accept)[1] for accept in asked}) == 2


def test_a_flood_of_scrapes_makes_the_families_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    def counted() -> Iterator[Metric]:
        nonlocal made
        made += 1
        yield gauge("correio_test_made", "Made.", made)

    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    exposition = Exposition(Vitals("test"), counted)
    for _ in range(100):
        exposition.render("")
    assert made == 1
    now += 1
    assert samples(exposition.render("")[0])["correio_test_made", ()] == 2


def test_a_figure_that_was_not_told_yet_is_0() -> None:
    assert (figure({"users": 3}, "users"), figure({}, "users")) == (3, 0)
