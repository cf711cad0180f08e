"""The feed: silent while nobody listens, whole for who keeps up, and never in the way of mail."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from gateway.telling.conversation import Conversation
from gateway.telling.feed import TOPIC, Feed, open_feed
from runtime.telling import members
from tests.conditions import DEADLINE, until
from tests.gateway.fakes import gateway
from wire.messages import Body, Lines, ReadLines, StepDone, Told

Context = zmq.Context[zmq.Socket[bytes]]


class Watcher:
    """A subscriber that reads when it is told to."""

    def __init__(self, context: Context, endpoint: str, topic: bytes = TOPIC) -> None:
        self.socket = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)
        self.socket.connect(endpoint)

    async def next(self) -> dict[str, Any]:
        """The next event."""
        await until(lambda: self.socket.poll(0), "for an event")
        (frame,) = self.socket.recv_multipart()
        assert frame.startswith(TOPIC)
        told = json.loads(frame.removeprefix(TOPIC))
        assert isinstance(told, dict)
        return told

    async def event(self) -> dict[str, Any]:
        """The next event that is no beat."""
        while (told := await self.next())["event"] == "beat":
            pass
        return told


@contextmanager
def feed_at(endpoint: str) -> Iterator[tuple[Feed, Context]]:
    """A feed on the running loop, and a context for who watches it."""
    context: Context = zmq.Context()
    feed = open_feed(context, endpoint)
    assert feed is not None
    try:
        yield feed, context
    finally:
        feed.close(0)
        context.destroy(linger=0)


async def test_a_feed_knows_when_somebody_listens_and_when_nobody_does_any_more(folder: Path) -> None:
    endpoint = f"ipc://{folder}/feed"
    with feed_at(endpoint) as (feed, context):
        conversation = Conversation(None, feed)
        assert not feed.watched
        assert not conversation.has_audience
        first, second = Watcher(context, endpoint), Watcher(context, endpoint)
        await until(lambda: feed.watched, "for the subscription")
        assert conversation.has_audience
        first.socket.close()
        conversation.connected("s-1", "192.0.2.1")
        assert (await second.event())["session"] == "s-1"
        second.socket.close()
        await until(lambda: not feed.watched, "for the end of the subscription")
        assert not conversation.has_audience


async def test_a_subscription_to_something_else_wakes_nobody(folder: Path) -> None:
    endpoint = f"ipc://{folder}/feed"
    with feed_at(endpoint) as (feed, context):
        stranger = Watcher(context, endpoint, b"correio-feed/2 ")
        # One that wants everything: both have been heard once a third has.
        watcher = Watcher(context, endpoint, b"")
        await until(lambda: feed.watched)
        watcher.socket.close()
        await until(lambda: not feed.watched)
        stranger.socket.close()


async def test_an_event_is_numbered_timed_and_one_line_of_ascii(folder: Path) -> None:
    endpoint = f"ipc://{folder}/feed"
    with feed_at(endpoint) as (feed, context):
        watcher = Watcher(context, endpoint)
        await until(lambda: feed.watched)
        feed.tell(members(event="client", session="s-1", text='é\n"'))
        feed.beat()
        feed.tell(members(event="client", session="s-1", text=""))
        one, two = await watcher.event(), await watcher.event()
        assert (one["session"], one["text"], one["event"]) == ("s-1", 'é\n"', "client")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
        # Beats count: the first greeted the watcher.
        assert (one["seq"], two["seq"]) == (2, 4)
        assert one["gateway"] == two["gateway"]


async def test_a_watcher_that_sleeps_loses_events_and_the_feed_waits_for_nobody(folder: Path) -> None:
    endpoint = f"ipc://{folder}/feed"
    with feed_at(endpoint) as (feed, context):
        watcher = Watcher(context, endpoint)
        await until(lambda: feed.watched)
        sent = 30_000
        began = time.monotonic()
        for _ in range(sent):
            feed.tell(members(event="client", session="s-1", text="x" * 200))
        assert time.monotonic() - began < DEADLINE
        heard = []
        while not heard or heard[-1] < sent:
            feed.tell(members(event="client", session="s-1", text=""))
            heard.append((await watcher.event())["seq"])
        # In order, none twice, some missing.
        assert heard == sorted(set(heard))
        assert len(heard) < heard[-1]


async def test_an_endpoint_that_cannot_be_had_is_told_and_mail_is_taken_without_it(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with gateway(feed_endpoint=f"ipc://{tmp_path}/missing/feed") as running:
        await running.worker()
        await running.greeted()
    assert "there is no feed: cannot bind ipc://" in caplog.text


def test_no_endpoint_no_feed() -> None:
    context: Context = zmq.Context()
    assert open_feed(context, "") is None
    context.destroy()


async def test_a_session_is_told_in_order_with_who_served_it_and_without_its_mail(folder: Path) -> None:
    endpoint = f"ipc://{folder}/feed"
    async with gateway(feed_endpoint=endpoint) as running:
        await running.worker(b"0123456789")
        watcher = Watcher(running.context, endpoint)
        # The greeting says that the subscription has come.
        assert (await watcher.next())["event"] == "beat"
        client = await running.greeted()
        client.send(b"two\r\nDATA\r\nsecret\r\n.\r\nQUIT\r\n")
        await client.rest()
        client.vanish()
        told = [await watcher.event()]
        while told[-1]["event"] != "closed":
            told.append(await watcher.event())
    assert [(event["event"], event.get("text") or event.get("octets")) for event in told] == [
        ("connected", None),
        ("server", "220 127.0.0.1"),
        ("client", "two"),
        ("client", "DATA"),
        ("server", "250 1 two"),
        ("server", "354 go"),
        ("message", 7),
        ("server", "250 7 octets"),
        ("client", "QUIT"),
        ("server", "221 bye"),
        ("closed", None),
    ]
    assert {event["session"] for event in told} == {told[0]["session"]}
    assert {event["peer"] for event in told} == {"127.0.0.1"}
    replies = [event for event in told if event["event"] == "server"]
    assert {event["worker"] for event in replies} == {"01234567"}
    assert all(0 <= event["ms"] < DEADLINE * 1000 for event in replies)
    assert "secret" not in json.dumps(told)


async def test_a_delivery_is_told_by_its_id(folder: Path) -> None:
    told = (Told("message", 250),)
    done = StepDone("s-1", 3, 0, b"", b"250 2.0.0 stored\r\n", ReadLines(), told=told, delivery="s-1.1")
    endpoint = f"ipc://{folder}/feed"
    with feed_at(endpoint) as (feed, context):
        conversation = Conversation(None, feed)
        watcher = Watcher(context, endpoint)
        await until(lambda: feed.watched)
        conversation.answered("s-1", "::1", Body(b"secret", 0, last=True), done, b"w", 0.0)
        told = [await watcher.event() for _ in range(3)]
        assert [event["event"] for event in told] == ["message", "server", "delivered"]
        assert told[2]["delivery"] == "s-1.1"


async def test_a_secret_is_not_told(folder: Path) -> None:
    done = StepDone("s-1", 3, 1, b"", b"235 ok\r\n", ReadLines(), told=(Told("AUTH", 235, secret=True),))
    endpoint = f"ipc://{folder}/feed"
    with feed_at(endpoint) as (feed, context):
        conversation = Conversation(None, feed)
        watcher = Watcher(context, endpoint)
        await until(lambda: feed.watched)
        conversation.answered("s-1", "::1", Lines((b"AUTH PLAIN AGFuYQBw",)), done, b"w", 0.0)
        told = [await watcher.event() for _ in range(2)]
        assert [(event["event"], event["text"]) for event in told] == [("client", "(secret)"), ("server", "235 ok")]
        assert told[0]["verb"] == "AUTH"


async def test_each_subscriber_is_greeted_and_then_hears_a_beat_every_second(folder: Path) -> None:
    endpoint = f"ipc://{folder}/feed"
    async with gateway(feed_endpoint=endpoint) as running:
        await running.worker()
        first = Watcher(running.context, endpoint)
        assert (await first.next())["event"] == "beat"
        second = Watcher(running.context, endpoint)
        heard = [await second.next() for _ in range(2)]
        assert [event["event"] for event in heard] == ["beat", "beat"]
        assert heard[1]["seq"] == heard[0]["seq"] + 1
