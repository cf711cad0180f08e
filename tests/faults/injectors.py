"""Faults done to a running stack of processes or containers, one at a time, chosen by a seed.

Each fault undoes itself before it returns, so that the stack is whole when the run ends. What a fault takes from a
mailbox it keeps beside it, for the verdict counts those copies as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import zmq

from tests.container_stack import ContainerStack
from tests.faults.large_crowd import large_crowd
from tests.faults.large_to_many import large_to_many
from tests.faults.load import Journal
from tests.stack import Stack
from wire.codec import encode
from wire.messages import Ask, Body, Check, Close, Deliver, Discard, ReadLines, Stage, Step, StepDone

Fault = Callable[[], Awaitable[None]]


class Injector:
    """The faults, for one stack.

    :param stack: the running stack. One of containers can be partitioned as well; its internal sockets cannot be
        reached from here, so frames are for one of processes.
    :param seed: makes the same choices and the same lengths every time.
    :param addresses: those of the mailboxes.
    :param journal: where faults note what they send themselves.
    :param crowd: how many clients a large crowd has.
    """

    def __init__(
        self, stack: Stack | ContainerStack, seed: int, addresses: list[str], journal: Journal, crowd: int
    ) -> None:
        self.stack = stack
        self._journal = journal
        self._crowd = crowd
        self.counts: dict[str, int] = {}
        self.taken: dict[str, list[Path]] = {address: [] for address in addresses}
        self._dice = random.Random(f"{seed}/faults")
        self._addresses = addresses
        self._graveyard = stack.folder / "taken"
        self._graveyard.mkdir()

    def kinds(self) -> dict[str, list[Fault]]:
        """The faults by kind."""
        return {
            "network": [self.cut_off_worker, self.cut_off_store],
            "workers": [self.kill_worker, self.kill_all_workers, self.restart_worker, self.hang_worker],
            "store": [self.kill_store, self.restart_store, self.hang_store],
            "gateway": [self.kill_gateway, self.restart_gateway],
            "frames": [self.garbage, self.oversized, self.forged],
            "mailboxes": [
                self.lock_mailbox,
                self.move_mailbox,
                self.delete_mailbox,
                self.truncate_mailbox,
                self.read_only,
            ],
            "users": [self.break_users, self.rewrite_users],
            "clients": [self.vanish, self.never_read, self.crowd],
            "large-crowd": [self.large_crowd],
            "large-to-many": [self.large_to_many],
        }

    async def run(self, kinds: list[str], stop: asyncio.Event) -> None:
        """Do one fault after another until told to stop."""
        faults = [fault for kind in kinds for fault in self.kinds()[kind]]
        while not stop.is_set():
            fault = self._dice.choice(faults)
            name = getattr(fault, "__name__", "fault")
            self.counts[name] = self.counts.get(name, 0) + 1
            await fault()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._dice.uniform(0.05, 0.6))

    # ------------------------------------------------------------ processes

    def _worker(self) -> str:
        return self._dice.choice(self.stack.worker_names)

    async def _pause(self, longest: float) -> None:
        await asyncio.sleep(self._dice.uniform(0, longest))

    async def _kill(self, name: str) -> None:
        await asyncio.to_thread(self.stack.kill, name)
        await self._pause(0.5)
        await asyncio.to_thread(self.stack.start, name)

    async def _restart(self, name: str) -> None:
        await asyncio.to_thread(self.stack.terminate, name)
        await asyncio.to_thread(self.stack.start, name)

    @contextlib.asynccontextmanager
    async def _stopped(self, name: str, longest: float) -> AsyncIterator[None]:
        with self.stack.stopped(name):
            await self._pause(longest)
            yield

    async def kill_worker(self) -> None:
        await self._kill(self._worker())

    async def kill_all_workers(self) -> None:
        for name in self.stack.worker_names:
            await asyncio.to_thread(self.stack.kill, name)
        for name in self.stack.worker_names:
            await asyncio.to_thread(self.stack.start, name)

    async def restart_worker(self) -> None:
        await self._restart(self._worker())

    async def hang_worker(self) -> None:
        async with self._stopped(self._worker(), 3):
            pass

    async def _cut_off(self, name: str) -> None:
        assert isinstance(self.stack, ContainerStack), "processes share one network"
        with self.stack.cut_off(name):
            await self._pause(3)

    async def cut_off_worker(self) -> None:
        await self._cut_off(self._worker())

    async def cut_off_store(self) -> None:
        await self._cut_off("mailbox_store")

    async def kill_store(self) -> None:
        await self._kill("mailbox_store")

    async def restart_store(self) -> None:
        await self._restart("mailbox_store")

    async def hang_store(self) -> None:
        async with self._stopped("mailbox_store", 3):
            pass

    async def kill_gateway(self) -> None:
        await self._kill("gateway")

    async def restart_gateway(self) -> None:
        await self._restart("gateway")

    # ------------------------------------------------------------ internal sockets

    async def _send(self, batches: list[list[bytes]]) -> None:
        """Send frames as a stranger to both internal sockets."""

        def send() -> None:
            with zmq.Context() as context:
                for name in ("gateway", "store"):
                    with context.socket(zmq.DEALER) as socket:
                        socket.setsockopt(zmq.LINGER, 500)
                        socket.connect(f"ipc://{self.stack.folder}/{name}")
                        for frames in batches:
                            socket.send_multipart(frames)

        await asyncio.to_thread(send)

    async def garbage(self) -> None:
        await self._send([[self._dice.randbytes(self._dice.randint(0, 200)) for _ in range(3)] for _ in range(20)])

    async def oversized(self) -> None:
        await self._send([[b"correio/1", bytes(20 * 1024 * 1024)], [b"correio/1", b"\x90", bytes(1024 * 1024)]])

    async def forged(self) -> None:
        """Well-formed messages that mean nothing, or that must not be obeyed: no mailbox may show any of them."""
        address = self._addresses[0]
        await self._send(
            [
                encode([StepDone("nobody-1", 3, 7, b"", b"250 forged\r\n", Close())]),
                encode([StepDone("nobody-1", 0, 0, b"", b"", ReadLines()), Step("x", 0, 0, b"", Body(b"", 0, True))]),
                encode([Ask(1, 0, Deliver("late-1.1", 0, "", (address,), b"Received: late\n", 0, b"late\n"))]),
                encode([Ask(2, 2**50, Deliver("old-1.1", 0, "", (address,), b"Received: old\n", 0, b"old\n"))]),
                encode([Ask(3, 2**50, Deliver("path-1.1", 2**41, "", ("../../x",), b"", 0, b"x"))]),
                encode([Ask(4, 2**50, Stage("part-1.1", 512, b"a piece")), Ask(5, 2**50, Discard("part-1.1"))]),
                encode([Ask(6, 2**50, Check(("../users",)))]),
            ]
        )

    # ------------------------------------------------------------ mailboxes and users

    def _mailbox(self) -> tuple[str, Path]:
        address = self._dice.choice(self._addresses)
        return address, self.stack.mailboxes / f"{address}.txt"

    def _grave(self, address: str) -> Path:
        grave = self._graveyard / f"{address}.{len(self.taken[address])}"
        self.taken[address].append(grave)
        return grave

    async def lock_mailbox(self) -> None:
        """Hold a mailbox the way a mail reader does."""
        _, path = self._mailbox()
        if path.exists():
            with path.open("rb+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX)
                await self._pause(1.5)

    async def move_mailbox(self) -> None:
        address, path = self._mailbox()
        with contextlib.suppress(FileNotFoundError):
            path.rename(self._grave(address))

    async def delete_mailbox(self) -> None:
        """Delete a mailbox; the second name that it gets before holds what was in it."""
        address, path = self._mailbox()
        with contextlib.suppress(FileNotFoundError):
            os.link(path, self._grave(address))
            path.unlink()

    async def truncate_mailbox(self) -> None:
        """Empty a mailbox in place, under the lock, as a mail reader does that has moved all messages."""
        address, path = self._mailbox()
        if not path.exists():
            return
        with path.open("rb+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            shutil.copyfile(path, self._grave(address))
            file.truncate(0)

    async def read_only(self) -> None:
        _, path = self._mailbox()
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o400)
            await self._pause(1)
            path.chmod(0o600)

    async def break_users(self) -> None:
        good = self.stack.users.read_text()
        self.stack.users.write_text(good + "not an address\n")
        await self._pause(2)
        self.stack.users.write_text(good)

    async def rewrite_users(self) -> None:
        """As an editor saves: a new file takes the old one's name."""
        new = self.stack.users.with_suffix(".new")
        new.write_text(self.stack.users.read_text())
        new.rename(self.stack.users)

    # ------------------------------------------------------------ clients

    async def vanish(self) -> None:
        """Clients that are gone after any octet of a transaction, the final dot included."""
        script = (
            b"EHLO gone.example.net\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@nowhere.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"
        )
        for _ in range(10):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.stack.port)
                writer.write(script[: self._dice.randint(0, len(script))])
                await writer.drain()
                writer.transport.abort()

    async def never_read(self) -> None:
        """A client that asks a lot and reads nothing."""
        with contextlib.suppress(OSError, TimeoutError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.stack.port, limit=1024)
            writer.write(b"HELP\r\n" * 20_000)
            await asyncio.wait_for(writer.drain(), 0.5)
        with contextlib.suppress(UnboundLocalError):
            writer.transport.abort()

    async def crowd(self) -> None:
        """Many connections at once that say nothing."""
        writers = []
        with contextlib.suppress(OSError):
            for _ in range(300):
                writers.append((await asyncio.open_connection("127.0.0.1", self.stack.port))[1])
            await self._pause(0.5)
        for writer in writers:
            writer.transport.abort()

    async def large_to_many(self) -> None:
        """One large mail, and copies of it for many."""
        await asyncio.to_thread(large_to_many, self._journal, self.stack.port, self._addresses)

    async def large_crowd(self) -> None:
        """Thousands that send a large message each, all at once."""
        await asyncio.to_thread(large_crowd, self._journal, self.stack.port, self._addresses, self._crowd)
