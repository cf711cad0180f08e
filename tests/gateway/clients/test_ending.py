"""The last moments of a connection: time to read the last reply, and an end for who does not."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.clients import lingering
from gateway.clients.lingering import Lingering
from tests.conditions import until


class FakeTransport:
    """A connection that is cut off at some time, with octets that its client has not read."""

    def __init__(self, *unsent: int) -> None:
        self.unsent = list(unsent)
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unsent.pop(0) if len(self.unsent) > 1 else self.unsent[0]

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    ("unsent", "looks"), [((0,), 1), ((9, 9), 1), ((9, 5, 5), 2), ((9, 5, 2, 0), 3), (tuple(range(99, 0, -1)), 15)]
)
async def test_a_client_is_waited_for_as_long_as_it_reads_on(
    monkeypatch: pytest.MonkeyPatch, unsent: tuple[int, ...], looks: int
) -> None:
    monkeypatch.setattr(lingering, "LINGER", 0.001)
    transport = FakeTransport(*unsent)
    end = Lingering(asyncio.get_running_loop(), cast(asyncio.Transport, transport))
    await until(lambda: transport.aborted, "for the end")
    assert end._times == looks


async def test_one_that_is_gone_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "LINGER", 0.001)
    transports = [FakeTransport(0), FakeTransport(0)]
    ends = [Lingering(asyncio.get_running_loop(), cast(asyncio.Transport, each)) for each in transports]
    ends[0].cancel()
    await until(lambda: transports[1].aborted, "for the other's end")
    assert not transports[0].aborted
