"""What is known of addresses and mailboxes while mail flows, and is known no more as soon as somebody changes it."""

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


@contextmanager
def flowing(folder: Path) -> Iterator[tuple[Stack, Connection, Connection]]:
    """A stack, a client, and another one, whose mail to maria is what the epoch is heard of by."""
    with Stack(folder, users=USERS, metrics=True) as stack, greeted(stack) as client, greeted(stack) as other:
        assert send(client, TEXT, JOAO).startswith("250 2.0.0 ")
        yield stack, client, other


def mail(client: Connection) -> None:
    assert send(client, TEXT, MARIA).startswith("250 2.0.0 ")


def answers(client: Connection) -> list[str]:
    """The codes of RCPT to joao and of DATA; after 354 a message follows, stored or not."""
    assert client.command("MAIL FROM:<sender@example.net>").startswith("250 2.1.0 ")
    said = [client.command(line)[:3] for line in (f"RCPT TO:<{JOAO}>", "DATA")]
    if said[1] == "354":
        assert client.command(TEXT.decode().replace("\n", "\r\n") + ".").startswith(("250 2.0.0 ", "451 4.3.0 "))
    assert client.command("RSET").startswith("250 ")
    return said


def test_nobody_is_asked_again_while_the_store_says_that_nothing_has_changed(folder: Path) -> None:
    with flowing(folder) as (stack, client, other):

        def asked() -> float:
            """How often either worker asked the store about an address."""
            ports = [stack.metrics[name] for name in stack.worker_names]
            return sum(scrape(port)("correio_worker_question_seconds_count", kind="lookup") for port in ports)

        begun = time.monotonic()
        before = 0.0
        while time.monotonic() < begun + 2.0:
            mail(other)
            if time.monotonic() > begun + 1.0:
                before = before or asked()
                # Far longer ago than any answer lasts by its age.
                assert send(client, TEXT, JOAO).startswith("250 2.0.0 ")
        # On a machine that stands still for a quarter of a second, now and then; there were hundreds of mails.
        assert asked() - before <= 20
        assert before
        assert len(texts(stack, JOAO)) > 40


def why(stack: Stack, reason: str) -> float:
    """How often the store has begun an epoch for that."""
    return scrape(stack.metrics["mailbox_store"])("correio_store_epochs_total", why=reason)


@pytest.mark.parametrize("change", ["chmod", "replace", "folder"])
def test_a_mailbox_that_cannot_be_written_any_more_is_known_for_it(folder: Path, change: str) -> None:
    with flowing(folder) as (stack, client, other):
        mail(other)
        assert answers(client) == ["250", "354"]
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
        # The store sees it by itself, not by a message that fails.
        mail(other)
        wait_until(lambda: why(stack, "folder") > 0, "the store has seen it")
        wait_until(lambda: answers(client) == ["250", "450"], "both workers have heard of it")


def test_a_new_list_of_users_is_known(folder: Path) -> None:
    lists = [(USERS.replace(JOAO, "eva@example.com"), "550"), (USERS, "250")]
    with flowing(folder) as (stack, client, other):
        for number, (users, reply) in enumerate(lists, 2):
            stack.users.write_text(users)

            def heard(number: int = number) -> bool:
                mail(other)
                return why(stack, "users") == number

            wait_until(heard, "the list is read")
            wait_until(lambda reply=reply: answers(client)[0] == reply, "both workers have heard of it")  # type: ignore[misc]


def test_what_was_known_goes_with_the_store(folder: Path) -> None:
    with flowing(folder) as (stack, client, other):
        mail(other)
        assert stack.terminate("mailbox_store") == 0
        stack.users.write_text(USERS.replace(JOAO, "eva@example.com"))
        stack.start("mailbox_store")
        mail(other)
        wait_until(lambda: answers(client)[0] == "550", "both workers have heard of it")
