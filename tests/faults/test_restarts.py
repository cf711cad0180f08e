"""`make restart-workers`, `restart-store` and `restart-gateway`, under load and in an open session.

Those of containers are in tests/containers/.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.deploying import deploy
from tests.faults.restarting import USERS_FILE, restart_under_load, restart_workers_and_store
from tests.stack import free_port


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Path, int]]:
    """The folder and the port of a stack of processes."""
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        folder, port = Path(name), free_port()
        (folder / "users.txt").write_text(USERS_FILE)
        done = deploy("up", folder, MODE="processes", PORT=str(port), CONVERSATION="off")
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder, port
        assert deploy("down", folder).returncode == 0


@pytest.mark.stack
async def test_workers_and_store_restart_under_load_and_in_an_open_session_without_an_error(
    running: tuple[Path, int],
) -> None:
    await restart_workers_and_store(*running)


@pytest.mark.stack
async def test_a_gateway_that_restarts_ends_its_sessions_with_a_421_and_loses_nothing(
    running: tuple[Path, int],
) -> None:
    journal = await restart_under_load(*running, "gateway")
    assert set(journal.errors) <= {"421 4.3.2"}


def test_restart_without_a_stack_says_so(tmp_path: Path) -> None:
    done = deploy("restart-workers", tmp_path)
    assert done.returncode == 3
    assert "not running" in done.stderr
