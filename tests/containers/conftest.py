"""One stack of containers for these tests, started as `make up MODE=docker` does; seen through the Docker SDK."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from deploy import engine
from tests.deploy.deploying import deploy
from tests.stack import free_port

USERS = "ana@example.com\nbruno@example.com\n"
# A caller who is not root, as sudo(8) tells of one: the mailboxes are to be theirs.
CALLER = 12345


@dataclass(frozen=True)
class ContainerStack:
    """A running stack: its folder, its port, and its containers."""

    folder: Path
    port: int
    client: docker.DockerClient

    def containers(self, service: str = "") -> list[Container]:
        labels = [f"com.docker.compose.project.working_dir={Path(engine.__file__).parent}"]
        if service:
            labels.append(f"com.docker.compose.service={service}")
        found = self.client.containers.list(all=True, filters={"label": labels})
        return [
            each for each in found if each.labels["com.docker.compose.project"].startswith(f"correio-{self.port}-")
        ]


@pytest.fixture(scope="session")
def engine_client(engine_answers: None) -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def containers(engine_client: docker.DockerClient) -> Iterator[ContainerStack]:
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "users.txt").write_text(USERS)
        caller = {"SUDO_UID": str(CALLER), "SUDO_GID": str(CALLER)} if os.geteuid() == 0 else {}
        port = free_port()
        done = deploy("up", folder, MODE="docker", PORT=str(port), **caller)
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            yield ContainerStack(folder, port, engine_client)
        finally:
            assert deploy("down", folder, **caller).returncode == 0
