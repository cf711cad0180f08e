"""What is known of addresses and mailboxes while mail flows, and for how long after somebody has changed it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conditions import wait_until
from tests.faults.test_disk import JOAO, MARIA, TEXT, greeted, send, texts
from tests.scraping import scrape
from tests.stack import USERS, Connection, Stack

pytestmark = pytest.mark.stack


# For so many seconds it may be said again whose an address is, and that a mailbox can be written (wire/SPEC.md).
ADDRESS, WRITABLE = 0.3, 0.25


@contextmanager
def flowing(folder: Path) -> Iterator[tuple[Stack, Connection, Connection]]:
    """A stack and two clients; there was mail for joao."""
    with Stack(folder, users=USERS, metrics=True) as stack, greeted(stack) as client, greeted(stack) as other:
        assert send(client, TEXT, JOAO).startswith("250 2.0.0 ")
        yield stack, client, other


def answers(client: Connection) -> list[str]:
    """The codes of RCPT to joao and of DATA; after 354 a message follows, stored or not."""
    assert client.command("MAIL FROM:<sender@example.net>").startswith("250 2.1.0 ")
    said = [client.command(line)[:3] for line in (f"RCPT TO:<{JOAO}>", "DATA")]
    if said[1] == "354":
        assert client.command(TEXT.decode().replace("\n", "\r\n") + ".").startswith(("250 2.0.0 ", "451 4.3.0 "))
    assert client.command("RSET").startswith("250 ")
    return said


def always(seconds: float, clients: list[Connection], reply: list[str]) -> None:
    """After so many seconds, in which anything may be answered, each answer is this one, whoever serves the step."""
    time.sleep(seconds)
    for _ in range(3):
        for client in clients:
            assert answers(client)[: len(reply)] == reply


def test_nobody_is_asked_again_while_what_the_store_has_said_holds(folder: Path) -> None:
    with flowing(folder) as (stack, client, other):

        def asked() -> float:
            """How often either worker asked the store about an address."""
            ports = [stack.metrics[name] for name in stack.worker_names]
            return sum(scrape(port)("correio_worker_question_seconds_count", kind="lookup") for port in ports)

        before, begun = asked(), time.monotonic()
        mails = 0
        while mails < 100:
            for each, address in ((other, MARIA), (client, JOAO)):
                assert send(each, TEXT, address).startswith("250 2.0.0 ")
                mails += 1
        # Of two addresses, by each of the workers.
        assert asked() - before <= 2 * len(stack.worker_names) * ((time.monotonic() - begun) / ADDRESS + 1)
        assert len(texts(stack, JOAO)) == 51


@pytest.mark.parametrize("change", ["chmod", "replace", "folder"])
def test_a_mailbox_that_cannot_be_written_any_more_is_known_for_it(folder: Path, change: str) -> None:
    with flowing(folder) as (stack, client, other):
        assert answers(client) == answers(other) == ["250", "354"]
        box = stack.mailboxes / f"{JOAO}.txt"
        if change == "chmod":
            box.chmod(0o400)
        elif change == "replace":
            box.unlink()
            box.mkdir()
        else:
            stack.mailboxes.rename(folder / "away")
            stack.mailboxes.mkdir()
            box.mkdir()
        always(WRITABLE, [client, other], ["250", "450"])


def test_a_new_list_of_users_is_known(folder: Path) -> None:
    lists = [(USERS.replace(JOAO, "eva@example.com"), "550"), (USERS, "250")]
    with flowing(folder) as (stack, client, other):
        for number, (users, reply) in enumerate(lists, 1):
            stack.users.write_text(users)

            def is_read(number: int = number) -> bool:
                return scrape(stack.metrics["mailbox_store"])("correio_store_users_reloads_total") == number

            wait_until(is_read, "the list is read")
            always(ADDRESS, [client, other], [reply])


def test_what_was_known_goes_with_the_store(folder: Path) -> None:
    with flowing(folder) as (stack, client, other):
        assert stack.terminate("mailbox_store") == 0
        stack.users.write_text(USERS.replace(JOAO, "eva@example.com"))
        stack.start("mailbox_store")
        always(ADDRESS, [client, other], ["550"])
