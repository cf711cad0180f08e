"""What a run is told by environment variables, as `make bench QUICK=1 ROUNDS=3` sets them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.peers.base import ROOT


class OptionError(ValueError):
    """A variable that cannot be used; the text is the line to show."""


@dataclass(frozen=True)
class Options:
    """`seconds` is the length of one load, `minutes` that of all of them; `folder` is where mail is written."""

    quick: bool
    rounds: int
    seconds: float
    minutes: float
    peers: tuple[str, ...]
    folder: str
    out: Path
    plot: Path


def from_environment(environment: Mapping[str, str] = os.environ) -> Options:
    """QUICK, ROUNDS, LOAD_SECONDS, MINUTES, PEERS, FOLDER, OUT and PLOT.

    :raises OptionError: for a value that is none.
    """
    quick = environment.get("QUICK", "") not in ("", "0")
    return Options(
        quick=quick,
        rounds=int(_number(environment, "ROUNDS", 2 if quick else 3)),
        seconds=_number(environment, "LOAD_SECONDS", 0.7 if quick else 2.5),
        minutes=_number(environment, "MINUTES", 2.5 if quick else 23),
        peers=tuple(environment.get("PEERS", "").replace(",", " ").split()),
        folder=environment.get("FOLDER", ""),
        out=Path(environment.get("OUT") or ROOT / "build/bench/results.json"),
        plot=Path(environment.get("PLOT") or (ROOT / ("build/bench" if quick else "docs") / "throughput.png")),
    )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    given = environment.get(name) or str(default)
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise OptionError(f"{name}={given}: must be a number over 0")
    return value
