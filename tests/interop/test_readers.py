"""Mailboxes are text files that other people's readers read."""

from __future__ import annotations

import contextlib
import os
import pty
import shlex
import smtplib
import subprocess
from pathlib import Path

import pytest

from tests import mailboxes
from tests.interop.conftest import program
from tests.stack import Stack, wait_until

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


def test_mutt_reads_back_exactly_what_was_sent(mailbox_of_ana: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    keys = "".join(
        f"{number}<enter><pipe-message>cat > {shlex.quote(str(tmp_path / str(number)))}<enter>"
        for number in range(1, len(TEXTS) + 1)
    )
    command = [program("mutt"), "-n", "-F", "/dev/null", "-R", "-f", str(mailbox_of_ana)]
    command += ["-e", "set pipe_decode=no wait_key=no quit=yes mbox_type=mbox move=no", "-e"]
    command += [f'push "{keys}<shell-escape>touch {done}<enter><exit>"']
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "HOME": str(tmp_path)}
    reader = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    try:
        os.close(slave)
        os.set_blocking(master, False)

        def finished() -> bool:
            with contextlib.suppress(OSError):
                os.read(master, 65536)  # a terminal nobody reads would stop mutt
            return done.exists()

        wait_until(finished, "mutt has written the messages")
    finally:
        reader.kill()
        reader.wait()
        os.close(master)
    for number, text in enumerate(TEXTS, 1):
        # mutt does not undo mboxrd's quoting of From lines; the file's own text is what it shows.
        quoted = "".join(
            f">{line}" if line.lstrip(">").startswith("From ") else line for line in text.splitlines(keepends=True)
        )
        assert (tmp_path / str(number)).read_text().endswith(quoted)
