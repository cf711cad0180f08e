"""Every transcript over TCP, against the three services as processes."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stack import Connection, Stack
from tests.transcripts.transcript import (
    Closes,
    Event,
    Expect,
    Leaves,
    Send,
    Transcript,
    all_transcripts,
    load,
    mailbox_mismatch,
    mismatch,
)
from tests.transcripts.transcript import Stack as StackEvent

# Writes of one octet show nothing more in a message of many pieces than in a small one.
_LONG = 20_000
_TRANSCRIPTS = {path: load(path) for path in all_transcripts()}

pytestmark = pytest.mark.stack


def those(wanted: Callable[[Transcript], bool]) -> pytest.MarkDecorator:
    """The transcripts, of those that a running stack can play, which are like this."""
    paths = [path for path, it in _TRANSCRIPTS.items() if not it.memory_only and wanted(it)]
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def changes_the_stack(transcript: Transcript) -> bool:
    return any(isinstance(event, StackEvent) and event.event != "connect-another" for event in transcript.events)


class Stacks:
    """Running stacks by their settings and users, for transcripts that leave theirs as they found it."""

    def __init__(self, kept: ExitStack) -> None:
        self._kept = kept
        self._running: dict[object, Stack] = {}

    def of(self, transcript: Transcript) -> Stack:
        key = (tuple(sorted(transcript.settings.items())), transcript.users)
        if key not in self._running:
            self._running[key] = self._kept.enter_context(new_stack(transcript, self._kept))
        return self._running[key]


def new_stack(transcript: Transcript, kept: ExitStack) -> Stack:
    folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="correio-"))
    users = "".join(f"{user}\n" for user in transcript.users)
    # The transcripts name the default domain.
    settings = {"DOMAIN": "correio.localhost", **transcript.settings}
    return Stack(Path(folder), users=users, workers=1 if transcript.settings else 2, **settings)


@pytest.fixture(scope="module")
def stacks() -> Iterator[Stacks]:
    with ExitStack() as kept:
        yield Stacks(kept)


def play(transcript: Transcript, stack: Stack, cut: int | None) -> None:
    """Run the events one after another, octets in writes of `cut` (None: as written)."""
    for mailbox in stack.mailboxes.iterdir():
        mailbox.write_bytes(b"")  # as a user may: the store respects it
    with ExitStack() as connections:
        if transcript.events[:1] == [StackEvent("connect-another")]:
            other = connections.enter_context(Connection(stack.port))
            assert other.reply().startswith("220 ")
        client = connections.enter_context(Connection(stack.port))
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for event in transcript.events:
            happen(event, client, stack, cut)
    found = {path.name.removesuffix(".txt"): path.read_bytes() for path in stack.mailboxes.iterdir()}
    assert sorted(name for name, octets in found.items() if octets) == sorted(transcript.mailboxes)
    for address, expected in transcript.mailboxes.items():
        wrong = mailbox_mismatch(expected, found[address])
        assert wrong is None, f"{address}: {wrong}"


def happen(event: Event, client: Connection, stack: Stack, cut: int | None) -> None:
    if isinstance(event, Send):
        for begin in range(0, len(event.octets), cut or len(event.octets)):
            client.send(event.octets[begin : begin + (cut or len(event.octets))])
    elif isinstance(event, Expect):
        wrong = mismatch(event.line, client.line().decode())
        assert wrong is None, wrong
    elif isinstance(event, Closes):
        assert client.line() == b""
    elif isinstance(event, Leaves):
        client.socket.close()
    elif isinstance(event, StackEvent):
        suffer(stack, event.event)
    else:
        raise TypeError(f"{event} cannot befall a running stack")


def suffer(stack: Stack, event: str) -> None:
    if event == "stop-workers":
        for name in stack.worker_names:
            stack.kill(name)
    elif event == "stop-gateway":
        stack.processes["gateway"].terminate()
    else:
        assert event == "connect-another"


@those(lambda _: True)
def test_as_it_is_written(path: Path, stacks: Stacks) -> None:
    transcript = _TRANSCRIPTS[path]
    if changes_the_stack(transcript):
        with ExitStack() as kept:
            play(transcript, kept.enter_context(new_stack(transcript, kept)), None)
    else:
        play(transcript, stacks.of(transcript), None)


@those(lambda it: it.in_one_write)
def test_in_one_write(path: Path, stacks: Stacks) -> None:
    transcript = _TRANSCRIPTS[path]
    together: list[Event] = [Send(bytearray(transcript.input))]
    together += [event for event in transcript.events if not isinstance(event, Send)]
    play(replace(transcript, events=together), stacks.of(transcript), None)


@those(lambda it: not changes_the_stack(it) and len(it.input) <= _LONG)
def test_octet_by_octet(path: Path, stacks: Stacks) -> None:
    transcript = _TRANSCRIPTS[path]
    play(transcript, stacks.of(transcript), 1)
