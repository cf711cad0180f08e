"""Every state that a crash could leave of a recorded run.

A run is a list of operations: those of `fakes.MemoryFiles`, `("commit", State)` of the journal, and `("ack", id)`.
A commit is on disk when it is recorded, for that is what the journal promises.

When processes are killed, the files are as the last system call left them, and the last write may have been cut. When
the power goes, each file for itself has all, some or nothing of what was written since its last fsync: a beginning
of its operations, or its size without some of its pages, which are zero then. A file whose name was not synced may
be gone.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mailbox_store.fakes import Operation, State, apply

# Smaller than a real one, so that short messages have several.
_PAGE = 64


@dataclass
class Crash:
    """What is left: the journal, the files, and what had been acknowledged."""

    journal: State
    files: dict[str, bytes]
    acknowledged: set[str]
    power_lost: bool

    def key(self) -> tuple[object, ...]:
        return id(self.journal), self.power_lost, frozenset(self.acknowledged), tuple(sorted(self.files.items()))


def _replay(start: dict[str, bytes], run: list[Operation]) -> dict[str, bytes]:
    content = {name: bytearray(data) for name, data in start.items()}
    for operation in run:
        apply(content, operation)
    return {name: bytes(data) for name, data in content.items()}


def _journal(first: State, run: list[Operation]) -> State:
    return next((operation[1] for operation in reversed(run) if operation[0] == "commit"), first)


def kills(first: State, start: dict[str, bytes], run: list[Operation]) -> Iterator[Crash]:
    """What kill -9 leaves, at each operation and inside each write."""
    for end in range(len(run) + 1):
        before, acks = run[:end], {operation[1] for operation in run[:end] if operation[0] == "ack"}
        journal = _journal(first, before)
        yield Crash(journal, _replay(start, before), acks, False)
        if end < len(run) and run[end][0] == "write":
            _, name, offset, data = run[end]
            for cut in sorted({1, 2, len(data) // 3, len(data) // 2, len(data) - 2, len(data) - 1}):
                if 0 < cut < len(data):
                    yield Crash(journal, _replay(start, [*before, ("write", name, offset, data[:cut])]), acks, False)


def power_losses(
    first: State, start: dict[str, bytes], run: list[Operation], dice: random.Random, at_most: int
) -> Iterator[Crash]:
    """What a power cut leaves after each operation; a sample of a moment's states where there are over `at_most`."""
    for end in range(len(run) + 1):
        before, acks = run[:end], {operation[1] for operation in run[:end] if operation[0] == "ack"}
        journal = _journal(first, before)
        names = sorted({*start, *(operation[1] for operation in before if operation[0] == "create")})
        choices = [sorted(_file_states(name, start, before), key=lambda data: data or b"") for name in names]
        total = 1
        for each in choices:
            total *= len(each)
        if total <= at_most:
            states: Iterator[tuple[bytes | None, ...]] = itertools.product(*choices)
        else:
            states = (tuple(dice.choice(each) for each in choices) for _ in range(at_most))
        for state in states:
            files = {name: data for name, data in zip(names, state, strict=True) if data is not None}
            yield Crash(journal, files, acks, True)


def _file_states(name: str, start: dict[str, bytes], run: list[Operation]) -> set[bytes | None]:
    """What the disk may hold of one file; None: nothing, not even its name."""
    synced = max((i for i, op in enumerate(run) if op == ("sync", name) or op[:2] == ("edit", name)), default=-1)
    named = max((i for i, op in enumerate(run) if op == ("sync_folder",)), default=-1)
    created = max((i for i, op in enumerate(run) if op == ("create", name)), default=-1)
    durable = _replay(start, run[: synced + 1]).get(name, b"")
    states: set[bytes | None] = {durable}
    if created > named:
        states.add(None)
    content = {name: bytearray(durable)}
    pending = [op for op in run[synced + 1 :] if op[0] in ("write", "truncate") and op[1] == name]
    for operation in pending:
        held = bytes(content[name])
        apply(content, operation)
        states.add(bytes(content[name]))
        if operation[0] == "write":
            states |= _torn(held, bytes(content[name]), len(durable))
    return states


def _torn(before: bytes, after: bytes, durable: int) -> set[bytes | None]:
    """Sizes between the two, and pages of what is not durable that are zero."""
    states: set[bytes | None] = set()
    for size in {len(after), (len(before) + len(after)) // 2, len(before) + 1, len(after) - 1}:
        if not durable < size <= len(after):
            continue
        pages = range(durable // _PAGE, (size - 1) // _PAGE + 1)
        patterns = [
            set(pages),
            set(),
            {pages[0]},
            {pages[-1]},
            set(pages[::2]),
            set(pages[1::2]),
            set(pages[: len(pages) // 2]),
            set(pages[len(pages) // 2 :]),
        ]
        for lost in patterns:
            torn = bytearray(after[:size])
            for page in lost:
                begin, end = max(durable, page * _PAGE), min(size, (page + 1) * _PAGE)
                torn[begin:end] = bytes(end - begin)
            states.add(bytes(torn))
    return states
