"""A full disk below the mailboxes or below RUN: nobody says that mail is taken, and each says which disk it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conditions import wait_until
from tests.deploy.deploying import deploy, environment, processes_of
from tests.faults.test_bounds import MIB
from tests.faults.test_disk import fill, small_disk
from tests.scraping import page
from tests.stack import free_port, free_ports

pytestmark = pytest.mark.stack
NO_ROOM = "no room for mail: 0.0 MiB free where the mailboxes are"


@pytest.fixture
def settings(folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a stack whose mailboxes are on a small disk."""
    (folder / "users.txt").write_text("ana@example.com\n")
    with small_disk(folder / "disk", 8 * MIB) as disk:
        yield {
            "MODE": "processes",
            "PORT": str(free_port()),
            "WORKERS": "1",
            "MAILBOXES": str(disk / "mailboxes"),
            "METRICS_PORT": str(free_ports(3)),
        }
        deploy("down", folder)
        assert processes_of(folder / "run") == []


def client(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "client", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60)


def test_up_starts_nothing_on_a_full_disk(folder: Path, settings: dict[str, str]) -> None:
    fill(folder / "disk")
    done = deploy("up", folder, **settings)
    assert done.returncode == 1
    assert done.stderr == f"make up: the stack takes no mail: {NO_ROOM}\n"
    assert processes_of(folder / "run") == []


def test_a_stack_whose_disk_is_full_is_not_said_to_take_mail(folder: Path, settings: dict[str, str]) -> None:
    assert deploy("up", folder, **settings).returncode == 0
    assert client(folder, "status").returncode == 0
    ballast = fill(folder / "disk")
    store = int(settings["METRICS_PORT"]) + 1
    wait_until(lambda: page(store, "/readyz") == (503, f"{NO_ROOM}\n"), "the store says that it has no room")
    assert page(store, "/livez")[0] == 200
    wait_until(lambda: deploy("status", folder).returncode == 1, "make status sees it")
    assert deploy("status", folder).stdout.splitlines()[-1] == f"takes no mail: {NO_ROOM}"
    assert deploy("up", folder, **settings).stderr.endswith(
        f"already running, but the stack takes no mail: {NO_ROOM}\n"
    )
    told = client(folder, "status")
    assert told.returncode == 1
    assert told.stdout.splitlines()[:2] == [f"127.0.0.1 port {settings['PORT']}: takes no mail", f"  {NO_ROOM}"]
    told = client(folder, "doctor")
    assert told.returncode == 1
    assert f"failed   smtp       {NO_ROOM}" in told.stdout
    ballast.unlink()
    wait_until(lambda: client(folder, "status").returncode == 0, "mail is taken again")
    assert page(store, "/readyz") == (200, "yes\n")
    assert deploy("status", folder).returncode == 0


def test_the_disk_of_run_is_one_of_them(folder: Path, settings: dict[str, str]) -> None:
    with small_disk(folder / "small", 64 * MIB) as disk:
        own = settings | {"RUN": str(disk / "run"), "MAILBOXES": str(folder / "mailboxes")}
        try:
            done = deploy("up", folder, **own)
            assert done.returncode == 0, done.stderr
            fill(disk)
            wait_until(lambda: deploy("status", folder, RUN=own["RUN"]).returncode == 1, "make status sees it")
            said = deploy("status", folder, RUN=own["RUN"]).stdout.splitlines()[-1]
            assert said == "takes no mail: no room for mail: the disk of the journal is full"
            told = client(folder, "status", "--run", own["RUN"])
            assert (told.returncode, "the disk of the journal is full" in told.stdout) == (1, True)
        finally:
            deploy("down", folder, RUN=own["RUN"])
