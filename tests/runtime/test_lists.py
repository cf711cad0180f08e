"""The loop that does nothing by itself, and sockets of lists."""

from __future__ import annotations

import asyncio

import pytest
import zmq

from runtime.lists import ListContext, ListLoop


def test_what_is_due_is_called_in_its_order_and_what_was_cancelled_is_not() -> None:
    loop, called = ListLoop(), list[str]()
    loop.call_later(2.0, called.append, "second")
    loop.call_later(1.0, called.append, "first")
    loop.call_later(1.5, called.append, "never").cancel()
    loop.call_later(2.0, called.append, "third")
    loop.turn()
    assert called == []
    assert loop.next() == 1.0
    loop.now = 2.0
    loop.turn()
    assert called == ["first", "second", "third"]
    assert loop.next() == float("inf")


def test_a_turn_goes_on_until_nothing_is_left_that_was_asked_for() -> None:
    loop, called = ListLoop(), list[str]()
    loop.add_reader(1, lambda: loop.call_soon(called.append, "read"))
    loop.call_soon(lambda: loop.call_soon(called.append, "soon"))
    assert loop.is_due
    loop.turn()
    assert (called, loop.is_due) == (["read", "soon"], False)


async def test_what_is_made_meanwhile_belongs_to_the_loop_and_then_to_the_one_before() -> None:
    before, loop, found = asyncio.get_running_loop(), ListLoop(), list[object]()
    with loop.running():
        found.append(asyncio.get_running_loop())
    loop.call_soon(lambda: found.append(asyncio.get_running_loop()))
    loop.turn()
    assert found == [loop, loop]
    assert asyncio.get_running_loop() is before


def test_a_socket_gives_what_lies_there_and_says_when_there_is_nothing() -> None:
    context = ListContext()
    socket = context.socket(zmq.DEALER)
    assert context.sockets == [socket]
    assert socket.getsockopt(zmq.TYPE) == zmq.DEALER
    socket.inbox.append([b"a", b"b"])
    assert socket.recv_multipart(zmq.NOBLOCK) == [b"a", b"b"]
    with pytest.raises(zmq.Again):
        socket.recv_multipart(zmq.NOBLOCK)
    socket.send_multipart([b"c"], zmq.NOBLOCK)
    assert (socket.taken(), socket.taken()) == ([[b"c"]], [])
