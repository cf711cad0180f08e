"""A stack of containers, seen through the Docker SDK, with the handles of `tests.stack.Stack`: faults serve both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import docker
from docker.errors import APIError
from docker.models.containers import Container
from docker.models.networks import Network

from deploy import engine
from tests.deploy.deploying import deploy
from tests.stack import free_port, takes_mail

# Docker's own grace before it kills, beyond the services' SHUTDOWN_SECONDS.
_STOP_SECONDS = 40
# The names on the bus, from deploy/compose.yaml.
_ALIASES = {"gateway": ["gateway"], "mailbox_store": ["store"]}


class ContainerStack:
    """What `make up MODE=docker` starts, under the names of the services: "gateway", "session_worker-1"…

    :param folder: for users.txt, mailboxes and RUN.
    :param workers: how many session workers.
    :param users: the text of users.txt.
    :param settings: further settings; with SUDO_UID and SUDO_GID whoever calls sudo to start it.
    """

    def __init__(self, folder: Path, workers: int, users: str, **settings: str) -> None:
        self.folder = folder
        self.mailboxes = folder / "mailboxes"
        self.users = folder / "users.txt"
        self.users.write_text(users)
        self.port = free_port()
        self.worker_names = [f"session_worker-{number}" for number in range(1, workers + 1)]
        self._settings = {"MODE": "docker", "PORT": str(self.port), "WORKERS": str(workers), **settings}
        self.client = docker.from_env()

    def __enter__(self) -> ContainerStack:
        done = deploy("up", self.folder, **self._settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in ("mailbox_store", *self.worker_names, "gateway"):
            with suppress(APIError, AssertionError):
                if error is not None:
                    print(f"--- {name}\n{self.log(name)[-4000:]}")
                self._container(name).unpause()
        done = deploy("down", self.folder, **self._settings)
        self.client.close()
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, name: str) -> None:
        self._container(name).start()

    def kill(self, name: str) -> None:
        """Docker starts no container again that it was told to kill, so `start` is for the caller."""
        self._container(name).kill()

    def terminate(self, name: str) -> int:
        container = self._container(name)
        container.stop(timeout=_STOP_SECONDS)
        return int(container.wait()["StatusCode"])

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Frozen for the length of a with block."""
        container = self._container(name)
        container.pause()
        try:
            yield
        finally:
            container.unpause()

    @contextmanager
    def cut_off(self, name: str) -> Iterator[None]:
        """Off the bus for the length of a with block."""
        container = self._container(name)
        bus = self._bus(container)
        bus.disconnect(container)
        try:
            yield
        finally:
            bus.connect(container, aliases=_ALIASES.get(name, []))

    def pids(self) -> dict[str, int]:
        """The process of each service, on this machine; without those that are not running."""
        pids = {}
        for name in ("gateway", *self.worker_names, "mailbox_store"):
            # The first one is the container's own init.
            with suppress(APIError):
                listed = self._container(name).top()
                pids[name] = int(listed["Processes"][-1][listed["Titles"].index("PID")])
        return pids

    def takes_mail(self) -> bool:
        return takes_mail(self.port)

    def log(self, name: str) -> str:
        return self._container(name).logs().decode(errors="replace")

    def containers(self, service: str = "", number: int = 0) -> list[Container]:
        """Its containers, stopped ones too; of one service, and of one number."""
        labels = [f"com.docker.compose.project.working_dir={Path(engine.__file__).parent}"]
        labels += [f"com.docker.compose.service={service}"] if service else []
        labels += [f"com.docker.compose.container-number={number}"] if number else []
        found = self.client.containers.list(all=True, filters={"label": labels})
        return [
            each for each in found if each.labels["com.docker.compose.project"].startswith(f"correio-{self.port}-")
        ]

    def _container(self, name: str) -> Container:
        service, _, number = name.partition("-")
        found = self.containers(service, int(number or 1))
        assert found, f"there is no container of {name}"
        return found[0]

    def _bus(self, container: Container) -> Network:
        project = container.labels["com.docker.compose.project"]
        return self.client.networks.get(f"{project}_bus")
