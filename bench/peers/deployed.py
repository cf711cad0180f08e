"""Correio as `make up` runs it, of this checkout or of another: with its supervisor, or in containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench import procfs
from bench.peers.base import START_SECONDS, Peer, PeerError, address
from tests.stack import free_port

# The first start in containers builds images.
_START_SECONDS = 1200.0
DEFAULT_WORKERS = 2
# Of the engine: what carries connections to containers, and copies what they say.
_ENGINE = frozenset({"dockerd", "containerd", "containerd-shim", "docker-proxy"})


class Deployed(Peer):
    """A stack that is started and stopped by the deploy tool.

    :param checkout: the root of the sources to run.
    :param settings: as `make up` takes them; MODE is `processes` or `docker`.
    """

    name = "deployed"
    what = "Correio as make up runs it"

    def __init__(self, checkout: Path, settings: dict[str, str]) -> None:
        super().__init__()
        self._checkout = checkout
        self._settings = settings
        # The gateway, the store, and the workers.
        self._processes = 2 + int(settings.get("WORKERS", DEFAULT_WORKERS))
        self._run = Path()

    def start(self, folder: Path, recipients: int) -> None:
        self.port = free_port()
        self.mailboxes = folder / "mailboxes"
        self._run = folder / "run"
        users = folder / "users.txt"
        users.write_text("".join(address(number) + "\n" for number in range(recipients)))
        places = {"RUN": self._run, "USERS": users, "MAILBOXES": self.mailboxes, "PORT": self.port}
        done = self._deploy("up", {name: str(value) for name, value in places.items()} | self._settings)
        if done.returncode:
            raise PeerError(f"make up: {(done.stderr or done.stdout).strip()[-400:]}")
        # It returns with the first worker.
        end = time.monotonic() + START_SECONDS
        while len(self.processes()) < self._processes:
            if time.monotonic() > end:
                self.stop()
                raise PeerError("make up: not all workers are there")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._run.exists():
            self._deploy("down", {"RUN": str(self._run)})

    def processes(self) -> dict[str, int]:
        if self._settings["MODE"] == "docker":
            return _containers(json.loads((self._run / "stack.json").read_text())["project"])
        found = {path.name: path for path in (self._run / "ready").iterdir() if not path.name.startswith(".")}
        return {_role(name): json.loads(path.read_text())["pid"] for name, path in sorted(found.items())}

    def cpu_seconds(self) -> dict[str, float]:
        spent = {role: procfs.exact_cpu_seconds(procfs.family([pid])) for role, pid in self.processes().items()}
        if self._settings["MODE"] == "docker":
            return spent | {"engine": procfs.exact_cpu_seconds(procfs.named(_ENGINE))}
        supervisor = int((self._run / "supervisord.pid").read_text())
        return spent | {"supervisor": procfs.exact_cpu_seconds([supervisor])}

    def _deploy(self, command: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR", "DOCKER_HOST") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "deploy", command],
            cwd=self._checkout,
            env=kept | settings,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
        )


def _role(name: str) -> str:
    """As `Correio` calls them: worker-1 for session_worker_1."""
    return name.replace("session_worker_", "worker-")


def _containers(project: str) -> dict[str, int]:
    """The first process of each of its containers."""
    names = _docker("ps", "--filter", f"label=com.docker.compose.project={project}", "--format", "{{.Names}}")
    pids = {name: int(_docker("inspect", "--format", "{{.State.Pid}}", name)) for name in names.split()}
    # The project, the service and a number, joined by _ or -, as compose is of the first or the second generation.
    services = {name: name.removeprefix(project)[1:].rpartition(name[len(project)]) for name in sorted(pids)}
    return {
        _role(f"{service}_{number}" if "worker" in service else service): pids[name]
        for name, (service, _, number) in services.items()
    }


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()
