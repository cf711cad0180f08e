"""Correio itself, as `make up MODE=processes` runs it, with its default settings."""

from __future__ import annotations

from pathlib import Path

from bench.peers.base import ROOT, Peer
from bench.peers.deployed import DEFAULT_WORKERS, Deployed
from tests.scraping import families
from tests.stack import free_ports


class Correio(Deployed):
    """Our stack; started again in the same folder it finds its mail there."""

    name = "correio"
    what = "Correio with default settings, conversations logged: journal and mailboxes synced, all as processes"
    # Of the services alone, as of the other peers: their supervisor sleeps.
    cpu_seconds = Peer.cpu_seconds

    def __init__(self, workers: int = DEFAULT_WORKERS) -> None:
        super().__init__(ROOT, {"MODE": "processes", "WORKERS": str(workers)})

    def start(self, folder: Path, recipients: int) -> None:
        self._settings["METRICS_PORT"] = str(free_ports(self._processes))
        super().start(folder, recipients)

    def commits(self) -> list[tuple[float, int]]:
        told = families(int(self._settings["METRICS_PORT"]) + 1)
        return [
            (float(sample.labels["le"]), int(sample.value))
            for family in told
            for sample in family.samples
            if sample.name == "correio_store_commit_seconds_bucket"
        ]
