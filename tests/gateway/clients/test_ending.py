"""The last moments of a connection: time to read the last reply, and an end for who does not."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.clients import ending
from gateway.clients.connection import Outbox
from gateway.clients.ending import Ending
from gateway.clients.room import Flow, Holder, Room
from gateway.telling.conversation import Conversation
from gateway.telling.farewells import Farewell
from gateway.telling.metrics import GatewayCounts
from gateway.workers.dispatcher import Progress
from tests.conditions import until
from tests.event_lines import event_log
from wire.messages import Connected


class FakeTransport:
    """A connection that is cut off at some time, with octets that its client has not read."""

    def __init__(self, *unsent: int) -> None:
        self.unsent = list(unsent)
        self.aborted = False
        self.written = b""

    def write(self, octets: bytes) -> None:
        self.written += octets

    def get_write_buffer_size(self) -> int:
        return self.unsent.pop(0) if len(self.unsent) > 1 else self.unsent[0]

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return True

    def close(self) -> None: ...


class Scene:
    """A connection whose client says nothing."""

    def __init__(self, transport: FakeTransport, idle_seconds: float = 300) -> None:
        self.dropped = 0
        self.session = Progress("s-1", lambda: 0.0)
        self.flow = Flow(Room(1000), cast(Holder, self))
        self.flow.eof = True
        self.counts = GatewayCounts()
        outbox = Outbox(asyncio.get_running_loop(), self.counts)
        self._events, self._log = event_log()
        self.end = Ending(
            self,
            self.session,
            self.flow,
            outbox,
            Conversation(self._events),
            self.counts,
            "mail.example.com",
            idle_seconds,
        )
        self.end.watch(cast(asyncio.Transport, transport))

    @property
    def told(self) -> list[str]:
        self._events.flush()
        return self._log.messages

    def drop_input(self) -> None:
        self.dropped += 1


def closing(transport: FakeTransport) -> Ending:
    end = Scene(transport).end
    end.close("for the test")
    return end


@pytest.mark.parametrize(
    ("unsent", "looks"), [((0,), 1), ((9, 9), 1), ((9, 5, 5), 2), ((9, 5, 2, 0), 3), (tuple(range(99, 0, -1)), 15)]
)
async def test_a_client_is_waited_for_as_long_as_it_reads_on(
    monkeypatch: pytest.MonkeyPatch, unsent: tuple[int, ...], looks: int
) -> None:
    monkeypatch.setattr(ending, "LINGER", 0.001)
    transport = FakeTransport(*unsent)
    end = closing(transport)
    await until(lambda: transport.aborted, "for the end")
    assert end._lingers == looks


async def test_one_that_is_gone_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "LINGER", 0.001)
    transports = [FakeTransport(0), FakeTransport(0)]
    ends = [closing(each) for each in transports]
    ends[0].over(None)
    await until(lambda: transports[1].aborted, "for the other's end")
    assert not transports[0].aborted


async def test_a_client_is_idle_only_while_nobody_waits_for_the_server() -> None:
    transport = FakeTransport(0)
    scene = Scene(transport, 0.02)
    scene.session.begin(Connected())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await until(lambda: loop.time() - begun > 0.06)
    assert scene.end.open
    scene.session.step = None
    scene.end.last_sign = loop.time()
    await until(lambda: not scene.end.open, "for it to be told")
    assert loop.time() - begun > 0.08
    assert (
        transport.written
        == b"421 4.4.2 mail.example.com Nothing came from you for too long, closing the connection\r\n"
    )
    assert (scene.dropped, scene.counts.farewells[Farewell.IDLE]) == (1, 1)
    scene.end.over(None)


async def test_one_that_does_not_read_is_told_nothing_when_it_is_idle() -> None:
    transport = FakeTransport(0)
    scene = Scene(transport, 0.02)
    scene.flow.unread = True
    await until(lambda: transport.aborted, "for its end")
    assert transport.written == b""
    scene.end.over(None)
    assert scene.told == ["s-1 closed: the client does not read"]


async def test_why_it_ended_is_what_came_first() -> None:
    broken, closed, cut = (Scene(FakeTransport(0)) for _ in range(3))
    broken.end.over(ConnectionResetError("gone"))
    closed.end.close("good-bye")
    closed.end.abort("too late")
    closed.end.over(ConnectionResetError("gone"))
    cut.end.abort("cut off")
    cut.end.over(None)
    told = [scene.told for scene in (broken, closed, cut)]
    assert told == [["s-1 closed: the connection broke: gone"], ["s-1 closed: good-bye"], ["s-1 closed: cut off"]]
    assert not any(scene.end.open for scene in (broken, closed, cut))
