"""Mailboxes are text files that other people's readers read."""

from __future__ import annotations

import contextlib
import mailbox
import os
import pty
import re
import shlex
import smtplib
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import mailboxes
from tests.conditions import wait_until
from tests.interop.conftest import program
from tests.stack import Stack

pytestmark = pytest.mark.stack

ANA = "ana@example.org"
TEXTS = [
    "Subject: one\n\nFrom the start\n>From quoted\n>>From twice\n.\n..\n\nFrom again\n",
    "Subject: two\n\n\n\n\n",
    "Subject: three\n\nlast line\n",
]


@pytest.fixture(scope="module")
def mailbox_of_ana(stack: Stack) -> Path:
    with smtplib.SMTP("127.0.0.1", stack.port) as client:
        for text in TEXTS:
            client.sendmail("someone@gmail.com", [ANA], text)
    return stack.mailboxes / f"{ANA}.txt"


def test_python_reads_back_exactly_what_was_sent(mailbox_of_ana: Path) -> None:
    assert [message.text.decode() for message in mailboxes.read(mailbox_of_ana)] == TEXTS


def test_cat_shows_each_message_after_an_empty_line(mailbox_of_ana: Path) -> None:
    text = mailbox_of_ana.read_text()
    assert text.startswith("From someone@gmail.com ")
    assert text.count("\n\nFrom someone@gmail.com ") == len(TEXTS) - 1
    assert text.endswith("last line\n\n")


def _mutt(mailbox: Path, home: Path, settings: str, keys: str, done: Callable[[str], bool]) -> str:
    """Have mutt open a mailbox, only to read, and press keys; gives what it has shown when it is done with that."""
    shown = bytearray()
    command = [program("mutt"), "-n", "-F", "/dev/null", "-R", "-f", str(mailbox)]
    # It asks whether to make a folder for mail that is not there.
    command += [
        "-e",
        f"set folder={shlex.quote(str(home))} pipe_decode=no wait_key=no quit=yes mbox_type=mbox move=no {settings}",
        "-e",
    ]
    command += [f'push "{keys}"']
    master, slave = pty.openpty()
    # The ncurses of Debian 13 opens no terminal without a size; the longest path has room in its status line.
    termios.tcsetwinsize(slave, (24, 250))
    environment = {**os.environ, "TERM": "xterm", "HOME": str(home)}
    reader = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    try:
        os.close(slave)
        os.set_blocking(master, False)

        def finished() -> bool:
            with contextlib.suppress(OSError):
                shown.extend(os.read(master, 65536))  # a terminal nobody reads would stop mutt
            return done(shown.decode("utf-8", "replace"))

        wait_until(finished, "mutt has done what was asked")
    finally:
        reader.kill()
        reader.wait()
        os.close(master)
    return shown.decode("utf-8", "replace")


def _to_file(path: Path) -> str:
    return f"<pipe-message>cat > {shlex.quote(str(path))}<enter>"


def test_mutt_reads_back_exactly_what_was_sent(mailbox_of_ana: Path, tmp_path: Path) -> None:
    numbers = range(1, len(TEXTS) + 1)
    keys = "".join(f"{number}<enter>{_to_file(tmp_path / str(number))}" for number in numbers)
    done = tmp_path / "done"
    keys += f"<shell-escape>touch {done}<enter><exit>"
    _mutt(mailbox_of_ana, tmp_path, "", keys, lambda _: done.exists())
    for number, text in enumerate(TEXTS, 1):
        # mutt does not undo mboxrd's quoting of From lines; the file's own text is what it shows.
        quoted = "".join(
            f">{line}" if line.lstrip(">").startswith("From ") else line for line in text.splitlines(keepends=True)
        )
        assert (tmp_path / str(number)).read_text().endswith(quoted)


# Each with what a reader keeps its own notes in: it would hide the mail behind, show new mail as read, deleted or
# flagged, or hide the whole file as its own.
STEERING = [
    "Subject: covers\nContent-Length: {next}\nLines: 1\n\nhi\n",
    "Subject: next\n\nsecret\n",
    "Subject: read and deleted\nStatus: RO\nX-Status: D\n\nx\n",
    "X-IMAP: 1 1\nSubject: folder data\nX-UID: 7\nX-Mozilla-Status: 0009\nX-Keywords: seen\n\nx\n",
    "Subject: folded, in capitals\nsTATUS:\n RO\nCONTENT-LENGTH:\n 90000\n\nx\n",
    "Subject: last\n\nx\n",
]


@pytest.fixture
def steering_mailbox(stack: Stack) -> Path:
    path = stack.mailboxes / "joao@example.com.txt"
    os.truncate(path, 0)
    with smtplib.SMTP("127.0.0.1", stack.port) as client:
        client.sendmail("someone@gmail.com", ["joao@example.com"], STEERING[1])
        size = path.stat().st_size
        os.truncate(path, 0)
        for text in STEERING:
            client.sendmail("someone@gmail.com", ["joao@example.com"], text.replace("{next}", str(3 + size)))
    return path


def test_no_sender_steers_python_s_mailbox(steering_mailbox: Path) -> None:
    with contextlib.closing(mailbox.mbox(steering_mailbox, create=False)) as box:
        messages = list(box)
    assert [message.get_flags() for message in messages] == [""] * len(STEERING)
    assert not any(message["Content-Length"] for message in messages)
    assert [len(message.get_all("Return-Path", [])) for message in messages] == [1] * len(STEERING)


def test_no_sender_steers_mutt(steering_mailbox: Path, tmp_path: Path) -> None:
    """To it each is there, new and not deleted, and the file has no more of them."""
    shown = _mutt(steering_mailbox, tmp_path, 'index_format="(%C %Z %s)"', "", lambda shown: "[Msgs:" in shown)
    index = dict(re.findall(r"\(([0-9]+) ([^)]*)\)", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)))
    subjects = [re.findall(r"^Subject: (.*)$", text, re.MULTILINE)[0] for text in STEERING]
    assert index == {str(number): f"N   {subject}" for number, subject in enumerate(subjects, 1)}
