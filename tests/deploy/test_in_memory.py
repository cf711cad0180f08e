"""The server in one object. tests/transcripts holds what it answers; here is what else a caller relies on."""

from __future__ import annotations

import asyncio

from deploy.in_memory import Caller, InMemory, MemoryStore
from wire.messages import Deliver, Discard, Question, Stage
from wire.outcomes import TROUBLE, Delivered, Failed, Said

ANA = "ana@correio.localhost"
BEGUN = b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<ana@correio.localhost>\r\nDATA\r\n"
LARGE = b"0123456789abcde\r\n" * 200_000


def begun(server: InMemory) -> Caller:
    """A client that has been told 354."""
    client = server.connect()
    assert b"\r\n354 " in client.say(BEGUN)
    return client


def test_mail_of_any_size_is_in_its_mailbox_when_it_is_acknowledged() -> None:
    server = InMemory([ANA])
    client = begun(server)
    assert client.say(LARGE) == b""
    assert server.mailboxes == {}
    assert client.say(b".\r\n").startswith(b"250 2.0.0 ")
    assert server.mailboxes[ANA].endswith(b"\n\n" + LARGE.replace(b"\r\n", b"\n") + b"\n")
    assert server.store.staged == {}


def test_of_a_client_that_leaves_in_the_middle_of_a_message_nothing_stays() -> None:
    server = InMemory([ANA])
    client = begun(server)
    client.say(LARGE)
    assert server.store.staged != {}
    client.leave()
    assert client.closed
    assert (server.store.staged, server.mailboxes) == ({}, {})


def test_time_passes_only_where_it_is_waited_for() -> None:
    server = InMemory([ANA])
    client = server.connect()
    server.wait(299)
    client.say(b"NOOP\r\n")
    server.wait(299)
    assert not client.closed
    server.wait(1)
    assert client.said.endswith(
        b"\r\n421 4.4.2 correio.localhost Nothing came from you for too long, closing the connection\r\n"
    )
    assert client.closed
    begun(server).say(b".\r\n")
    # It began at 07:05:55.
    assert b"; Mon, 23 Nov 2026 07:15:54 +0000\n" in server.mailboxes[ANA]


def test_what_is_said_behind_a_good_bye_is_not_heard() -> None:
    client = InMemory([ANA]).connect()
    assert client.say(b"QUIT\r\nNOOP\r\n").count(b"\r\n") == 1
    assert client.closed
    assert client.say(b"NOOP\r\n") == b""


def test_a_store_that_says_nothing_is_waited_for_no_longer() -> None:
    class Silent(MemoryStore):
        def answer(self, question: Question) -> Said | None:
            return None

    client = InMemory([], store=Silent([ANA])).connect()
    assert b"\r\n451 4." in client.say(BEGUN)


def test_a_store_keeps_a_delivery_once_and_none_of_which_a_piece_is_missing() -> None:
    store = MemoryStore([ANA])
    mail = Deliver("s-1.1", 0, "", (ANA,), b"", 2, b"c\n")
    assert isinstance(failed := store.answer(mail), Failed)
    assert failed.kind == TROUBLE
    store.answer(Stage("s-1.1", 0, b"a\n"))
    assert [store.answer(mail), store.answer(mail)] == [Delivered(False), Delivered(True)]
    assert store.mailboxes[ANA].endswith(b"\na\nc\n\n")
    store.answer(Stage("s-1.2", 0, b"a\n"))
    store.answer(Discard("s-1.2"))
    assert store.staged == {}


async def test_it_may_be_used_where_a_loop_runs() -> None:
    loop = asyncio.get_running_loop()
    assert InMemory([ANA]).connect().said.startswith(b"220 ")
    assert asyncio.get_running_loop() is loop
