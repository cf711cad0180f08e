"""Services of a stack that `make up` started are restarted under load, and while somebody types a mail."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.deploy.deploying import deploy
from tests.faults.load import Journal, Sender
from tests.faults.verdict import judge
from tests.stack import Connection

USERS = [f"user{number}@example.com" for number in range(20)]
TYPIST = "typist@example.com"  # gets no load
USERS_FILE = "".join(f"{user}\n" for user in [*USERS, TYPIST])
_LARGEST = 50_000


async def restart_under_load(folder: Path, port: int, *services: str) -> Journal:
    """Send mail from 20 connections while services are restarted one after another: none is lost or doubled."""
    boxes = {user: folder / "mailboxes" / f"{user}.txt" for user in USERS}
    for box in boxes.values():
        box.write_bytes(b"")  # as a user may
    journal = Journal(seed=1)
    senders = [Sender(journal, port, USERS, name, _LARGEST) for name in range(20)]
    tasks = [asyncio.create_task(sender.run()) for sender in senders]
    try:
        for service in services:
            done = await asyncio.to_thread(deploy, f"restart-{service}", folder)
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        for sender in senders:
            sender.stopping = True
        await asyncio.gather(*tasks)
    verdict = judge(journal, {user: [box] for user, box in boxes.items()}, _LARGEST)
    print(verdict, f"longest wait {journal.longest_pause:.2f} s", sep="\n")
    assert verdict.good, str(verdict)
    assert verdict.acknowledged > 20
    return journal


async def restart_workers_and_store(folder: Path, port: int) -> None:
    """Nobody sees it, neither the load nor who types a mail meanwhile."""
    with Connection(port) as client:
        client.begin(TYPIST)
        client.send(b"Subject: before and after\r\n\r\nbefore\r\n")
        journal = await restart_under_load(folder, port, "workers", "store")
        client.send(b"after\r\n.\r\n")
        assert client.reply().startswith("250 2.0.0 ")
        assert client.command("QUIT").startswith("221 ")
    assert b"before\nafter\n" in (folder / "mailboxes" / f"{TYPIST}.txt").read_bytes()
    assert not journal.errors
    assert journal.broken_connections == 0
