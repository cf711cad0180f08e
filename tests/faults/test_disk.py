"""A full disk below the mailboxes or the journal, and mailboxes that cannot be written: 4xx, and nothing in part.

The disk is a small tmpfs that the test mounts, for which it has to be root.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import mailboxes
from tests.conditions import wait_until
from tests.faults.test_bounds import MIB
from tests.stack import USERS, Connection, Stack

pytestmark = pytest.mark.stack

MARIA, JOAO = "maria@example.com", "joao@example.com"
TEXT = b"Subject: fits\n\n" + b"f" * 100 + b"\n"


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[Path]:
    """A file system of `size` octets at `path`; skips the test where nothing can be mounted, but not under CI."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "correio-test", str(path)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = f"cannot mount a small disk, which takes root: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true, and {reason}")
        pytest.skip(reason)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(disk: Path, leave: int = 0, name: str = "ballast") -> Path:
    """Take all room of a disk but `leave` octets; gives the file that takes it."""
    ballast = disk / name
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    os.truncate(ballast, ballast.stat().st_size - leave)
    return ballast


def send(client: Connection, text: bytes, *recipients: str) -> str:
    """One mail in a session that has said EHLO; gives the reply to its end."""
    assert client.command("MAIL FROM:<sender@example.net>").startswith("250 2.1.0 ")
    for recipient in recipients or (MARIA,):
        assert client.command(f"RCPT TO:<{recipient}>").startswith("250 2.1.5 ")
    assert client.command("DATA").startswith("354 ")
    client.send(text.replace(b"\n", b"\r\n") + b".\r\n")
    return client.reply()


def texts(stack: Stack, address: str = MARIA) -> list[bytes]:
    return [message.text for message in mailboxes.read(stack.mailboxes / f"{address}.txt")]


def greeted(stack: Stack) -> Connection:
    client = stack.connect()
    assert client.reply().startswith("220 ")
    assert client.command("EHLO client.example.net").startswith("250-")
    return client


LARGE = b"Subject: large\n\n" + (b"l" * 69 + b"\n") * 18_000
SIZES = pytest.mark.parametrize("text", [TEXT, LARGE], ids=["small", "in pieces"])


@SIZES
def test_no_room_for_the_mailboxes_is_told_and_mail_is_taken_again_once_there_is(folder: Path, text: bytes) -> None:
    with small_disk(folder / "disk", 8 * MIB) as disk, Stack(folder, MAILBOXES=str(disk / "mailboxes")) as stack:
        stack.mailboxes = disk / "mailboxes"
        with greeted(stack) as client:
            assert send(client, text, MARIA, JOAO).startswith("250 2.0.0 ")
            ballast = fill(disk)
            for _ in range(3):
                assert send(client, text, MARIA, JOAO).startswith("452 4.3.1 ")
            assert texts(stack) == texts(stack, JOAO) == [text]
            ballast.unlink()
            assert send(client, text, MARIA, JOAO).startswith("250 2.0.0 ")
        assert texts(stack) == texts(stack, JOAO) == [text] * 2


def test_room_for_some_of_the_mailboxes_is_room_for_none(folder: Path) -> None:
    with small_disk(folder / "disk", 8 * MIB) as disk, Stack(folder, MAILBOXES=str(disk / "mailboxes")) as stack:
        stack.mailboxes = disk / "mailboxes"
        # The store leaves a margin of 1 MiB to others; two copies of this one would go into it.
        fill(disk, leave=MIB + len(LARGE) + len(LARGE) // 2)
        with greeted(stack) as client:
            assert send(client, LARGE, MARIA, JOAO).startswith("452 4.3.1 ")
            assert texts(stack) == texts(stack, JOAO) == []
            assert send(client, LARGE).startswith("250 2.0.0 ")
        assert texts(stack) == [LARGE]


@SIZES
def test_no_room_for_the_journal_is_told_and_mail_is_taken_again_once_there_is(folder: Path, text: bytes) -> None:
    with small_disk(folder / "journal", 64 * MIB) as disk, Stack(folder) as stack, greeted(stack) as client:
        assert send(client, text).startswith("250 2.0.0 ")
        ballast = fill(disk)
        for _ in range(10):
            assert send(client, text).startswith("452 4.3.1 ")
        assert texts(stack) == [text]
        # A store that starts meanwhile finds everything, and needs no room for that.
        stack.kill("mailbox_store")
        rest = fill(disk, name="what the store left")
        stack.start("mailbox_store")
        assert send(client, text).startswith("452 4.3.1 ")
        rest.unlink()
        ballast.unlink()
        assert send(client, text).startswith("250 2.0.0 ")
        assert texts(stack) == [text] * 2


def test_a_journal_disk_that_mail_itself_has_filled_takes_mail_again(folder: Path) -> None:
    with small_disk(folder / "journal", 32 * MIB), Stack(folder) as stack, greeted(stack) as client:
        # The journal cannot forget what a mailbox has not got, and this one is held by a reader.
        with (stack.mailboxes / f"{MARIA}.txt").open("rb+") as held:
            fcntl.lockf(held, fcntl.LOCK_EX)
            taken = 0
            while (reply := send(client, LARGE)).startswith("250 2.0.0 "):
                taken += 1
                assert taken < 50, "the journal holds more than its disk"
            assert reply.startswith("452 4.3.1 ")
        print(f"{taken} messages of {len(LARGE)} octets taken")
        assert taken
        wait_until(lambda: texts(stack) == [LARGE] * taken, "the mailbox gets what waited for it")
        wait_until(lambda: send(client, LARGE).startswith("250 2.0.0 "), "the journal has room again")
        assert texts(stack) == [LARGE] * (taken + 1)


def test_a_mailbox_that_cannot_be_written_is_named_and_the_others_still_get_mail(folder: Path) -> None:
    with Stack(folder, users=USERS) as stack, greeted(stack) as client:
        # Not to both: what is known to be writable may be taken for so a moment longer.
        assert send(client, TEXT, MARIA).startswith("250 2.0.0 ")
        path = stack.mailboxes / f"{JOAO}.txt"
        path.chmod(0o400)
        assert client.command("MAIL FROM:<sender@example.net>").startswith("250 2.1.0 ")
        for recipient in (MARIA, JOAO):
            assert client.command(f"RCPT TO:<{recipient}>").startswith("250 2.1.5 ")
        refusal = client.command("DATA")
        assert refusal.startswith("450 4.2.0 ")
        assert JOAO in refusal
        # The transaction stays: once the mailbox can be written, it goes on.
        path.chmod(0o600)
        assert client.command("DATA").startswith("354 ")
        assert client.command(TEXT.decode().replace("\n", "\r\n") + ".").startswith("250 2.0.0 ")
        assert texts(stack) == [TEXT] * 2
        assert texts(stack, JOAO) == [TEXT]


def test_a_mailbox_that_cannot_be_made_is_named_before_its_mail_comes(folder: Path) -> None:
    with Stack(folder, UNKNOWN="create") as stack, greeted(stack) as client:
        os.mkfifo(stack.mailboxes / "new@far.example.txt")
        assert client.command("MAIL FROM:<sender@example.net>").startswith("250 2.1.0 ")
        assert client.command("RCPT TO:<new@far.example>").startswith("250 2.1.5 ")
        refusal = client.command("DATA")
        assert refusal.startswith("450 4.2.0 ")
        assert "new@far.example" in refusal


def test_a_mailbox_that_becomes_unwritable_while_its_mail_is_typed_gets_nothing_and_nor_do_others(
    folder: Path,
) -> None:
    with Stack(folder, users=USERS) as stack, greeted(stack) as client:
        assert client.command("MAIL FROM:<sender@example.net>").startswith("250 2.1.0 ")
        for recipient in (MARIA, JOAO):
            assert client.command(f"RCPT TO:<{recipient}>").startswith("250 2.1.5 ")
        assert client.command("DATA").startswith("354 ")
        (stack.mailboxes / f"{JOAO}.txt").chmod(0o400)
        assert client.command("Subject: x\r\n\r\nx\r\n.").startswith("451 4.3.0 ")
        assert texts(stack) == texts(stack, JOAO) == []
        assert send(client, TEXT).startswith("250 2.0.0 ")
