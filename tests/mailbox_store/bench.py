"""A store over fakes, with two mailboxes, and what tests ask of it."""

from __future__ import annotations

import errno
from concurrent.futures import Executor

from tests.mailbox_store.fakes import (
    NOW,
    AskedStore,
    Clock,
    FixedUsers,
    InlineExecutor,
    MemoryFiles,
    MemoryJournal,
)
from wire.messages import Ask, Deliver, Question
from wire.outcomes import Delivered, Failed, Outcome

A, B = "a@b.example", "b@b.example"


class Bench:
    """The store at `now` (ms of Unix time) and at `clock.now` (s); both stand still until a test moves them."""

    def __init__(self, executor: Executor | None = None) -> None:
        self.journal, self.files, self.clock = MemoryJournal(), MemoryFiles(), Clock()
        self.now = NOW
        self.users = FixedUsers(A, B)
        self.start(executor)

    def start(self, executor: Executor | None = None) -> None:
        """A new process on what the last one left."""
        executor = executor or InlineExecutor()
        self.store = AskedStore(self.journal, self.files, self.users, executor, lambda: self.now, self.clock)
        self.store.recover("boot")

    def ask(self, *questions: Question, deadline: int = 0) -> list[Outcome]:
        """One batch; without a deadline (ms of Unix time) each must be begun now."""
        return self.store.answer([Ask(1, deadline or self.now, question) for question in questions])

    def deliver(self, name: str, *boxes: str) -> None:
        assert self.ask(deliver(name, *boxes)) == [Delivered(False)]

    def second(self) -> None:
        """A round of syncs, and the recording of it."""
        for _ in range(3):
            self.clock.now += 0.6
            self.store.tick()

    def count(self, name: str, box: str = A) -> int:
        """How often that delivery stands in a mailbox."""
        return bytes(self.files.content.get(box, b"")).count(b"Received: id " + name.encode() + b"\n")


def deliver(
    name: str, *boxes: str, time: int = NOW, staged: int = 0, sender: str = "s@e", data: bytes = b"x: y\n"
) -> Deliver:
    """A delivery of that id, to A where no mailbox is named."""
    return Deliver(name, time, sender, boxes or (A,), f"Received: id {name}\n".encode(), staged, data)


def failure(outcome: Outcome) -> str:
    """The kind of a failure; anything else fails the test."""
    assert isinstance(outcome, Failed)
    return outcome.kind


def refuse_b(_operation: str, mailbox: str) -> None:
    """As `before` of the files: the mailbox B has other rights."""
    if mailbox == B:
        raise PermissionError(errno.EACCES, "Permission denied")
