"""The feed of a stack, through its RUN folder: heard, missed, gone and back."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from client.run_folder import NoStack
from client.stack.events import TOPIC
from client.stack.feed import Change, FeedReader
from tests.conditions import DEADLINE

Context = zmq.Context[zmq.Socket[bytes]]


class Gateway:
    """The gateway's end: it greets who comes, as the contract has it."""

    def __init__(self, context: Context, sockets: Path) -> None:
        sockets.mkdir(exist_ok=True)
        self.socket = context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(f"ipc://{sockets}/feed")
        self.seq = 0

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @contextmanager
    def greeting(self) -> Iterator[None]:
        """Greet who comes in this with block: in a thread, for whoever comes waits for it."""
        thread = threading.Thread(target=self._greet)
        thread.start()
        try:
            yield
        finally:
            thread.join(DEADLINE)

    def _greet(self) -> None:
        if self.socket.poll(DEADLINE * 1000) and self.socket.recv() == b"\1" + TOPIC:
            self.say("beat")

    def say(self, kind: str, **told: Any) -> None:
        self.seq += 1
        event = {"seq": self.seq, "gateway": "g", "event": kind, **told}
        self.socket.send(TOPIC + json.dumps(event).encode())


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(linger=0)


def started(run: Path, sockets: Path | None) -> None:
    (run / "stack.json").write_text(json.dumps({"mode": "processes", "sockets": str(sockets or "")}))


def test_no_stack_no_feed_and_nobody_there_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.stack.feed._GREETING_SECONDS", 0.1)

    def reason() -> str:
        with pytest.raises(NoStack) as caught, FeedReader(folder):
            pass
        return caught.value.message

    assert reason().startswith(f"No stack runs in RUN={folder}. ")
    started(folder, None)
    assert "does not say where its feed is" in reason()
    started(folder, folder / "sockets")
    assert f"nobody answers at {folder}/sockets/feed" in reason()
    started(folder, folder / ("x" * 100))
    assert "choose a shorter RUN" in reason()


def test_what_the_gateway_says_is_heard_in_order_and_nonsense_is_dropped(folder: Path, context: Context) -> None:
    started(folder, folder / "sockets")
    with Gateway(context, folder / "sockets") as gateway, ExitStack() as stack:
        with gateway.greeting():
            feed = stack.enter_context(FeedReader(folder))
        gateway.say("connected", session="s-1")
        gateway.socket.send(TOPIC + b"no event")
        gateway.say("closed", session="s-1")
        heard = [feed.next() for _ in range(3)]
    assert [each["event"] for each in heard if isinstance(each, dict)] == ["beat", "connected", "closed"]


@pytest.mark.parametrize("leaves", [True, False], ids=["it leaves", "it is silent"])
def test_a_stack_that_goes_away_and_comes_back_elsewhere_is_heard_again(
    folder: Path, context: Context, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    monkeypatch.setattr("client.stack.feed._LOOK_MS", 20)
    monkeypatch.setattr("client.stack.feed._SILENCE_SECONDS", DEADLINE if leaves else 0.2)
    started(folder, folder / "one")
    with Gateway(context, folder / "one") as gateway, ExitStack() as stack:
        with gateway.greeting():
            feed = stack.enter_context(FeedReader(folder))
        assert feed.next() == {"seq": 1, "gateway": "g", "event": "beat"}
        if leaves:
            gateway.socket.close()
            shutil.rmtree(folder / "one")
        assert feed.next() is Change.GONE
        started(folder, folder / "two")
        again = stack.enter_context(Gateway(context, folder / "two"))
        with again.greeting():
            assert feed.next() is Change.BACK
        assert feed.next() == {"seq": 1, "gateway": "g", "event": "beat"}
