"""What is seen to be wrong before anything starts; tests/bad_config/ has the rest."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy import preflight
from deploy.config import StackSettings
from deploy.telling import DeployError


def settings(port: int, bind: str = "127.0.0.1") -> StackSettings:
    return StackSettings().model_copy(update={"port": port, "bind": bind})


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_somebody_listens_on_is_busy(listens_on: str) -> None:
    with socket.create_server((listens_on, 0)) as other, pytest.raises(DeployError, match="in use on 127"):
        preflight.check_port(settings(other.getsockname()[1]), privileged=True)


def test_a_port_whose_last_connections_linger_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the side that closes first keeps the address in TIME_WAIT
            assert client.recv(1) == b""
    preflight.check_port(settings(port), privileged=True)


def test_a_low_port_needs_a_privilege() -> None:
    with pytest.raises(DeployError, match="PORT=1: a port below"):
        preflight.check_port(settings(1), privileged=False)


def test_a_users_file_that_is_there_passes(tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    users.touch()
    preflight.check_users(StackSettings().model_copy(update={"users": users}))


def test_a_busy_port_for_numbers_is_told_with_the_setting_that_it_belongs_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        first = settings(12000).model_copy(update={"metrics_port": port - 1})
        with pytest.raises(
            DeployError, match=f"METRICS_PORT={port - 1}: port {port} of it: in use on 127.0.0.1; try"
        ):
            preflight.check_metrics_ports(first, [port], privileged=True)
