"""Names match: what runs tells what docs/metrics.md lists, and alerts and dashboard ask for nothing else."""

from __future__ import annotations

import json
import re
import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conditions import wait_until
from tests.scraping import families
from tests.stack import ROOT, Stack

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((PROMETHEUS / "grafana-dashboard.json").read_text())
ALERTS = (PROMETHEUS / "alerts.yml").read_text()
# What Prometheus adds to each series: of its own, and from the list of targets.
TARGET_LABELS = {"job", "instance", "service"}

pytestmark = pytest.mark.stack
# A family's type, labels and text; and of each name that a query may use, the labels.
Family = tuple[str, set[str], str]
Told = dict[str, set[str]]


def _labels(row: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", row))


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Family]]:
    """By name as documented, all that three running services tell after a mail."""
    with tempfile.TemporaryDirectory(prefix="correio-") as name, Stack(Path(name), workers=1, metrics=True) as stack:
        client = smtplib.SMTP("127.0.0.1", stack.port, timeout=30)
        client.sendmail("carla@example.net", ["maria@example.com"], b"Subject: hello\r\n\r\nhello\r\n")

        def answer_is_known() -> bool:
            """One that was given a moment ago takes no step."""
            client.ehlo()
            return bool(seen()["correio_gateway_replies_known_total"][1])

        def seen() -> dict[str, Family]:
            found: dict[str, Family] = {}
            for port in stack.metrics.values():
                for family in families(port):
                    labels = {label for sample in family.samples for label in sample.labels} - {"le"}
                    # The text format tells an info as a gauge.
                    full = family.name + ("_total" if family.type == "counter" else "")
                    found[full] = family.type, labels, family.documentation
            return found

        wait_until(lambda: seen()["correio_worker_replies_total"][1], "the replies are counted")
        wait_until(answer_is_known, "an answer is known")
        client.quit()
        yield seen()


@pytest.fixture(scope="module")
def samples(told: dict[str, Family]) -> Told:
    """Every name that a query may use, and its labels."""
    names: Told = {}
    for name, (kind, labels, _) in told.items():
        if kind == "histogram":
            names |= {name + "_bucket": labels | {"le"}, name + "_sum": labels, name + "_count": labels}
        else:
            names[name] = labels
    return names


def documented() -> dict[str, Family]:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \|([^|]*)\| (.*) \|$", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE
    )
    return {name: (kind, _labels(labels), text) for name, kind, labels, text in rows}


def queries() -> list[str]:
    """Every expression of the dashboard and the alerts."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    annotations = [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    rules = re.findall(r"expr: (?:>-\n\s+)?(.+)", ALERTS)
    assert len(rules) == ALERTS.count("alert:")
    return panels + annotations + rules


def test_every_number_is_documented_with_its_type_labels_and_text_and_no_other_is(
    told: dict[str, Family],
) -> None:
    ours = {name: seen for name, seen in told.items() if name.startswith("correio_")}
    ours["correio_build_info"] = ("info", *ours["correio_build_info"][1:])
    assert documented() == ours


def test_the_processes_own_numbers_are_named(told: dict[str, Family]) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    assert [name for name in told if not name.startswith("correio_") and name not in text] == []


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_names_and_labels_that_there_are(query: str, samples: Told) -> None:
    names = re.findall(r"\b(?:correio|process)_\w+", query)
    assert names or query.startswith("up{")
    known = {label for name in names for label in samples[name]} | TARGET_LABELS
    asked = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", query))
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        asked |= {label.strip() for label in group.split(",")}
    assert asked <= known


def test_legends_name_labels_that_their_query_keeps() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = {
                label.strip()
                for group in re.findall(r"\bby \(([^)]*)\)", target["expr"])
                for label in group.split(",")
            }
            assert shown <= (kept or TARGET_LABELS), panel["title"]


def test_every_panel_stands_in_the_grid_alone_with_a_data_source_and_a_unit() -> None:
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == [
        "Now",
        "Traffic",
        "Latency",
        "Workers",
        "Store",
        "Processes",
    ]
    cells: set[tuple[int, int]] = set()
    idents = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(idents)) == len(idents)
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & mine, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= mine
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert [target["refId"] for target in panel["targets"]] == [
                chr(65 + n) for n in range(len(panel["targets"]))
            ]


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    alerts = re.split(r"- alert: ", ALERTS)[1:]
    assert len(alerts) == 12
    for alert in alerts:
        for part in ("expr:", "severity:", "summary:", "description:"):
            assert alert.count(part) == 1, alert
