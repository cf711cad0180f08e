"""Every transcript, in memory: framing, dialogue and a small store, without a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from session_worker.config import WorkerSettings
from tests.transcripts.memory_server import MemoryServer
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

# A message of several pieces is not sent octet by octet: it would show nothing more than a small one does.
_LONG = 20_000

_TRANSCRIPTS = {path: it for path in all_transcripts() if not (it := load(path)).stack_only}
_ALL = pytest.mark.parametrize("path", _TRANSCRIPTS, ids=lambda path: path.stem)
_ALONE = pytest.mark.parametrize(
    "path", [path for path, it in _TRANSCRIPTS.items() if it.in_one_write], ids=lambda path: path.stem
)

# What a store in trouble says is another thing a moment later.
_STEADY = pytest.mark.parametrize(
    "path",
    [path for path, it in _TRANSCRIPTS.items() if not any(isinstance(event, Store) for event in it.events)],
    ids=lambda path: path.stem,
)


def _server(transcript: Transcript, **more: Any) -> MemoryServer:
    settings = WorkerSettings(**{name.lower(): value for name, value in transcript.settings.items()})
    return MemoryServer(settings.policy(), transcript.users, **more)


def _play(transcript: Transcript, server: MemoryServer, cut: int | None) -> None:
    """Run the events one after another, octets in writes of `cut` (None: as written)."""
    read = 0
    for event in transcript.events:
        if isinstance(event, Send):
            for begin in range(0, len(event.octets), cut or len(event.octets)):
                server.feed(bytes(event.octets[begin : begin + (cut or len(event.octets))]))
        elif isinstance(event, Expect):
            end = server.said.find(b"\r\n", read)
            assert end >= 0, f"expected {event.line!r}, got no reply"
            line, read = server.said[read:end].decode(), end + 2
            wrong = mismatch(event.line, line)
            assert wrong is None, wrong
            assert len(line.encode()) <= 510
        elif isinstance(event, Closes):
            assert server.closed
            assert server.said[read:] == b""
        elif isinstance(event, Leaves):
            server.leave()
        elif isinstance(event, Store):
            server.store.suffer(event.fault)
    assert server.said[read:] == b"", "more replies than expected"
    _check_mailboxes(transcript, server)


def _check_mailboxes(transcript: Transcript, server: MemoryServer) -> None:
    assert sorted(server.store.mailboxes) == sorted(transcript.mailboxes)
    for address, expected in transcript.mailboxes.items():
        wrong = mailbox_mismatch(expected, server.store.mailboxes[address])
        assert wrong is None, f"{address}: {wrong}"
    assert not server.store.staged, "pieces of a message were left behind"


@_ALL
def test_as_it_is_written(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    _play(transcript, _server(transcript), None)


@_ALL
def test_octet_by_octet(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    _play(transcript, _server(transcript), 1 if len(transcript.input) < _LONG else 4093)


@_ALL
def test_with_every_step_run_twice(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    _play(transcript, _server(transcript, twice=True), None)


@_STEADY
def test_what_is_answered_again_is_what_another_session_that_says_the_same_is_answered(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    answers: dict[Any, Any] = {}
    servers = [_server(transcript, session=f"0123456789ab-{number}", answers=answers) for number in (1, 2)]
    for server in servers:
        _play(transcript, server, None)
    # HELO; MAIL, RCPT and DATA of two mails; QUIT.
    assert servers[1].known == 8 or path.stem != "course_exercise"


@_ALONE
def test_in_one_write(path: Path) -> None:
    transcript = _TRANSCRIPTS[path]
    server = _server(transcript)
    server.feed(transcript.input)
    said = server.said.decode().split("\r\n")[:-1]
    wrong = [fault for pair in zip(transcript.replies, said, strict=True) if (fault := mismatch(*pair)) is not None]
    assert wrong == []
    _check_mailboxes(transcript, server)
