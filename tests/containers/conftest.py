"""One stack of containers for these tests, started as `make up MODE=docker` does; seen through the Docker SDK."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.container_stack import ContainerStack

USERS = "ana@example.com\nbruno@example.com\n"
# A caller who is not root, as sudo(8) tells of one: the mailboxes are to be theirs.
CALLER = 12345


@pytest.fixture(scope="session")
def engine_client(engine_answers: None) -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def containers(engine_answers: None) -> Iterator[ContainerStack]:
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        caller = {"SUDO_UID": str(CALLER), "SUDO_GID": str(CALLER)} if os.geteuid() == 0 else {}
        with ContainerStack(folder, 2, USERS, **caller) as stack:
            yield stack
