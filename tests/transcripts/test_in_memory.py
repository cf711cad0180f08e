"""Every transcript, in memory: the services and a small store, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from deploy.in_memory import InMemory, MemoryStore, MemoryWorker
from runtime.lists import Frames
from session_worker.config import WorkerSettings
from session_worker.dialogue.turn import Policy
from session_worker.dialogue.verbs import VERBS
from tests.transcripts.transcript import (
    Closes,
    Expect,
    Leaves,
    Send,
    Store,
    Transcript,
    all_transcripts,
    load,
    mailbox_mismatch,
    mismatch,
)
from wire.messages import Check, Discard, Lookup, Question
from wire.outcomes import DISK_FULL, EXPIRED, TROUBLE, Failed, Found, Said, Unwritable, Writable
from wire.records import replace

# A message of several pieces is not sent octet by octet: it would show nothing more than a small one does.
_LONG = 20_000
# So many clients that a large message has the smallest pieces, and what befalls the store in the middle of one does.
_OTHERS = 64
# Longer than anything is held back on cue.
_A_WHILE = 60.0

_TRANSCRIPTS = {path: it for path in all_transcripts() if not (it := load(path)).stack_only}
# What a store in trouble says is another thing a moment later.
_STEADY = {path: it for path, it in _TRANSCRIPTS.items() if not any(isinstance(event, Store) for event in it.events)}
_ALL = pytest.mark.parametrize("path", _TRANSCRIPTS, ids=lambda path: path.stem)


class TroubledStore(MemoryStore):
    """A store that fails as it is told. What it says holds for no time: faults come and go."""

    fault = "well"

    def suffer(self, fault: str) -> None:
        """Be `well`, `silent`, `slow`, in `trouble`, `full`, or have one mailbox `unwritable <address>`."""
        if fault.partition(" ")[0] not in ("well", "silent", "slow", "trouble", "full", "unwritable"):
            raise ValueError(f"no such fault: {fault}")
        self.fault = fault

    def answer(self, question: Question) -> Said | None:
        kind, _, address = self.fault.partition(" ")
        match kind:
            case "silent":
                return None
            case "slow":
                return Failed(EXPIRED, "for the test")
            case "trouble" if not isinstance(question, Discard):
                # One in trouble still forgets.
                return Failed(TROUBLE, "for the test")
            case "full" if not isinstance(question, Lookup | Check | Discard):
                return Failed(DISK_FULL, "for the test")
        if isinstance(question, Check) and address in question.mailboxes:
            return Unwritable(address, "read-only")
        outcome = super().answer(question)
        if isinstance(outcome, Found):
            return replace(outcome, holds=0, writable_for=0)
        return Writable() if isinstance(outcome, Writable) else outcome


class Twice(InMemory):
    """Every step is done a first time in vain, as when a worker dies just before it answers."""

    def __init__(self, users: Iterable[str], policy: Policy, store: MemoryStore | None = None) -> None:
        self._dying = MemoryWorker(policy, None)
        super().__init__(users, policy, store)

    def work(self, worker: MemoryWorker, asked: list[Frames]) -> None:
        super().work(self._dying, asked)
        self._dying.to_gateway.taken()
        super().work(worker, asked)


def _server(transcript: Transcript, kind: type[InMemory] = InMemory) -> InMemory:
    policy = WorkerSettings(**{name.lower(): value for name, value in transcript.settings.items()}).policy()
    if transcript in _STEADY.values():
        return kind(transcript.users, policy)
    server = kind(transcript.users, policy, TroubledStore(transcript.users, policy.domain))
    for _ in range(_OTHERS):
        server.connect()
    return server


def _play(transcript: Transcript, server: InMemory, cut: int | None = None) -> None:
    """Run the events one after another, octets in writes of `cut` (None: as written)."""
    client, read = server.connect(), 0
    for event in transcript.events:
        if isinstance(event, Send):
            for begin in range(0, len(event.octets), cut or len(event.octets)):
                client.say(bytes(event.octets[begin : begin + (cut or len(event.octets))]))
        elif isinstance(event, Expect):
            if client.said.find(b"\r\n", read) < 0:
                server.wait(_A_WHILE)
            end = client.said.find(b"\r\n", read)
            assert end >= 0, f"expected {event.line!r}, got no reply"
            line, read = client.said[read:end].decode(), end + 2
            wrong = mismatch(event.line, line)
            assert wrong is None, wrong
            assert len(line.encode()) <= 510
        elif isinstance(event, Closes):
            assert client.closed
            assert client.said[read:] == b""
        elif isinstance(event, Leaves):
            client.leave()
        elif isinstance(event, Store):
            assert isinstance(server.store, TroubledStore)
            server.store.suffer(event.fault)
    assert client.said[read:] == b"", "more replies than expected"
    _check_mailboxes(transcript, server)


def _check_mailboxes(transcript: Transcript, server: InMemory) -> None:
    assert sorted(server.mailboxes) == sorted(transcript.mailboxes)
    for address, expected in transcript.mailboxes.items():
        wrong = mailbox_mismatch(expected, server.mailboxes[address])
        assert wrong is None, f"{address}: {wrong}"
    assert not server.store.staged, "pieces of a message were left behind"


@_ALL
def test_as_it_is_written(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    _play(transcript, _server(transcript))


@_ALL
def test_octet_by_octet(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    _play(transcript, _server(transcript), 1 if len(transcript.input) < _LONG else 4093)


@_ALL
def test_with_every_step_run_twice(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    _play(transcript, _server(transcript, Twice))


@pytest.mark.parametrize("path", _STEADY, ids=lambda path: path.stem)
def test_another_client_that_says_the_same_is_answered_the_same_though_much_of_it_takes_no_step(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    server = _server(transcript)
    _play(transcript, server)
    server.mailboxes.clear()
    known = sum(server.counts.known.values())
    _play(transcript, server)
    # HELO; MAIL, RCPT and DATA of two mails; QUIT.
    assert sum(server.counts.known.values()) == known + 8 or path.stem != "course_exercise"


def _groups(octets: bytes) -> Iterator[bytes]:
    """Lines as a client that pipelines sends them (RFC 2920 section 3.1): up to one for whose reply it waits."""
    group, in_message = list[bytes](), False
    for line in octets.splitlines(keepends=True):
        group.append(line)
        verb = VERBS.get(line[:8].split()[0].decode("latin-1").upper() if line.strip() else "")
        if line.strip() == b"." if in_message else verb is not None and verb.ends_group:
            yield b"".join(group)
            group = []
            in_message = verb is VERBS["DATA"] and not in_message
    yield b"".join(group)


@pytest.mark.parametrize(
    "path", [path for path, it in _TRANSCRIPTS.items() if it.in_one_write], ids=lambda path: path.stem
)
@pytest.mark.parametrize("cut", [lambda octets: [octets], _groups], ids=["one write", "groups"])
def test_with_many_lines_in_one_write(path: Path, cut: Callable[[bytes], Iterable[bytes]]) -> None:
    transcript = _TRANSCRIPTS[path]
    server = _server(transcript)
    client = server.connect()
    for octets in cut(transcript.input):
        client.say(octets)
    server.wait(_A_WHILE)
    said = client.said.decode().split("\r\n")[:-1]
    wrong = [fault for pair in zip(transcript.replies, said, strict=True) if (fault := mismatch(*pair)) is not None]
    assert wrong == []
    _check_mailboxes(transcript, server)
