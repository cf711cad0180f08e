"""`make restart-workers`, `restart-store` and `restart-gateway`, under load and in open sessions."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.deploying import deploy
from tests.faults.load import Journal, Sender
from tests.faults.verdict import judge
from tests.stack import Connection, free_port

USERS = [f"user{number}@example.com" for number in range(20)]
TYPIST = "typist@example.com"  # gets no load
LARGEST = 50_000


@dataclass(frozen=True)
class Running:
    """A stack that `make up` started."""

    folder: Path
    port: int

    def restart(self, service: str) -> subprocess.CompletedProcess[str]:
        return deploy(f"restart-{service}", self.folder)


@contextmanager
def running(folder: Path, mode: str) -> Iterator[Running]:
    (folder / "users.txt").write_text("".join(f"{user}\n" for user in [*USERS, TYPIST]))
    port = free_port()
    done = deploy("up", folder, MODE=mode, PORT=str(port), CONVERSATION="off")
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        yield Running(folder, port)
    finally:
        assert deploy("down", folder).returncode == 0


@pytest.fixture
def processes(folder: Path) -> Iterator[Running]:
    with running(folder, "processes") as stack:
        yield stack


async def load_while(stack: Running, *services: str) -> Journal:
    """Send mail from 20 connections while services are restarted one after another."""
    journal = Journal(seed=1)
    senders = [Sender(journal, stack.port, USERS, name, LARGEST) for name in range(20)]
    tasks = [asyncio.create_task(sender.run()) for sender in senders]
    try:
        for service in services:
            done = await asyncio.to_thread(stack.restart, service)
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        for sender in senders:
            sender.stopping = True
        await asyncio.gather(*tasks)
    return journal


def check(stack: Running, journal: Journal) -> None:
    verdict = judge(journal, {user: [stack.folder / "mailboxes" / f"{user}.txt"] for user in USERS}, LARGEST)
    print(verdict, f"longest wait {journal.longest_pause:.2f} s", sep="\n")
    assert verdict.good, str(verdict)
    assert verdict.acknowledged > 20


def restart_in_an_open_session(stack: Running) -> None:
    with Connection(stack.port) as client:
        client.begin(TYPIST)
        client.send(b"Subject: before and after\r\n\r\nbefore\r\n")
        for service in ("workers", "store"):
            assert stack.restart(service).returncode == 0
        client.send(b"after\r\n.\r\n")
        assert client.reply().startswith("250 2.0.0 ")
        assert client.command("QUIT").startswith("221 ")
    assert b"before\nafter\n" in (stack.folder / "mailboxes" / f"{TYPIST}.txt").read_bytes()


@pytest.mark.stack
def test_workers_and_store_restart_inside_an_open_session(processes: Running) -> None:
    restart_in_an_open_session(processes)


@pytest.mark.stack
async def test_workers_and_store_restart_under_load_without_an_error(processes: Running) -> None:
    journal = await load_while(processes, "workers", "store")
    check(processes, journal)
    assert not journal.errors
    assert journal.broken_connections == 0


@pytest.mark.stack
async def test_a_gateway_that_restarts_ends_its_sessions_with_a_421_and_loses_nothing(processes: Running) -> None:
    journal = await load_while(processes, "gateway")
    check(processes, journal)
    assert set(journal.errors) <= {"421 4.3.2"}


def test_restart_without_a_stack_says_so(tmp_path: Path) -> None:
    done = deploy("restart-workers", tmp_path)
    assert done.returncode == 3
    assert "not running" in done.stderr


@pytest.mark.containers
@pytest.mark.timeout(900)  # images may have to be built first, and a base image before that
async def test_containers_are_replaced_under_load_without_an_error(folder: Path, engine_answers: None) -> None:
    with running(folder, "docker") as stack:
        restart_in_an_open_session(stack)
        journal = await load_while(stack, "workers", "store")
        check(stack, journal)
        assert not journal.errors
        assert journal.broken_connections == 0
