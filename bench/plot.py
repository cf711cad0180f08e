"""A record as a picture: `python plot.py RECORD.json PICTURE.png`.

Throughput against sessions for a record of `bench`, throughput against growth for one of `bench.curves`.

Run by the environment in build/bench, which has matplotlib; it imports nothing of this project.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]  # in its own environment

mpl.use("Agg")
import matplotlib.pyplot as plt  # type: ignore[import-not-found]  # the back end is chosen first

_QUEUES = {"postfix"}
_COLOURS = {
    "correio": "#c1121f",
    "smtp-server": "#2a9d8f",
    "aiosmtpd": "#457b9d",
    "aiosmtpd-threads": "#8ab6d6",
    "postfix": "#6d597a",
    "smtp-sink": "#9a9a9a",
}
_TITLES = {"keep": "connections kept", "new": "a connection for each message"}


def _points(figures: dict[str, Any], kind: str) -> dict[str, list[tuple[int, float]]]:
    points: dict[str, list[tuple[int, float]]] = {}
    for scenario, peers in figures.items():
        if found := re.fullmatch(rf"{kind} s=(\d+)", scenario):
            for peer, summary in peers.items():
                if summary["rounds"]:
                    rate = summary["delivered" if peer in _QUEUES else "accepted"]
                    points.setdefault(peer, []).append((int(found[1]), rate))
    return points


def draw(record: dict[str, Any], picture: Path) -> None:
    """Two panels, both axes logarithmic."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True)
    for panel, (kind, title) in zip(panels, _TITLES.items(), strict=True):
        for peer, points in _points(record["figures"], kind).items():
            sessions, rates = zip(*sorted(points), strict=True)
            discards = peer == "smtp-sink"
            label = peer + (" (stores nothing)" if discards else " (delivered)" if peer in _QUEUES else "")
            panel.plot(
                sessions,
                rates,
                marker="o",
                color=_COLOURS.get(peer),
                linestyle="--" if discards else "-",
                linewidth=2.5 if peer == "correio" else 1.5,
                label=label,
            )
        panel.set(title=title, xlabel="sessions", xscale="log", yscale="log")
        panel.set_xticks([1, 20, 100, 500], ["1", "20", "100", "500"])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("messages per second, 4 KiB")
    panels[0].set_yticks([100, 300, 1000, 3000, 10000], ["100", "300", "1,000", "3,000", "10,000"])
    panels[1].legend(fontsize=8)
    _finish(figure, record, picture)


def draw_curves(record: dict[str, Any], picture: Path) -> None:
    """A panel for each thing that grows; the points are as far apart as they are named, not as they are large."""
    figure, panels = plt.subplots(1, len(record["curves"]), figsize=(14, 3.4), sharey=True)
    for panel, (title, curve) in zip(panels, record["curves"].items(), strict=True):
        points = curve["points"]
        places = range(len(points))
        panel.vlines(places, [min(p["rates"]) for p in points], [max(p["rates"]) for p in points], color="#d8a0a4")
        panel.plot(places, [point["median"] for point in points], marker="o", color=_COLOURS["correio"])
        panel.set_xticks(places, [f"{point['value']:,}" for point in points], fontsize=7)
        panel.set(title=title, xlabel=curve["unit"])
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("messages per second")
    # The panels share this axis: set once all points are drawn.
    panels[0].set_ylim(bottom=0)
    _finish(figure, record, picture)


def _finish(figure: Any, record: dict[str, Any], picture: Path) -> None:
    where = record["machine"]
    figure.text(0.01, 0.005, f"{where['processors']}, {where['file_system']}, commit {where['commit']}", fontsize=7)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    (draw_curves if "curves" in given else draw)(given, Path(sys.argv[2]))
