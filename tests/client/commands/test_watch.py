"""`correio watch` before a real stack: on a terminal and into a pipe, with wishes, and when the stack goes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from client.__main__ import main
from tests.client.pseudo_terminal import Terminal
from tests.conditions import DEADLINE, wait_until
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.stack
SETTINGS = {"workers": 1, "MAX_ERRORS": "1000000"}


@pytest.fixture
def watched(stack: Stack) -> Stack:
    """A stack, with what `make up` writes of it."""
    (stack.folder / "stack.json").write_text(json.dumps({"mode": "processes", "sockets": str(stack.folder)}))
    return stack


def mail(running: Stack, recipient: str = "maria@example.com") -> str:
    """Send one mail in a session of its own; gives its delivery id."""
    with running.connect() as connection:
        connection.begin(recipient)
        reply = connection.command("Subject: hello\r\n\r\nsecret\x1b[2J\r\n.")
        assert reply.startswith("250 2.0.0")
        assert connection.command("QUIT").startswith("221")
        return reply.split()[-1]


@contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command with a pipe for its output."""
    command = [sys.executable, "-u", "-m", "client", "watch", "--run", str(folder), *arguments]
    environment = os.environ | {"TZ": "UTC", "PYTHONUTF8": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == f"Watching the stack in RUN={folder}; Ctrl-C ends it.\n"
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], part: str, count: int = 1) -> list[str]:
    """What it shows, as far as the last of `count` lines that have this part."""
    assert process.stdout is not None
    lines: list[str] = []
    while sum(part in line for line in lines) < count:
        line = process.stdout.readline()
        assert line, "it ended"
        lines.append(line.rstrip("\n"))
    return lines


def test_a_mail_is_watched_on_a_terminal_in_colours_and_ctrl_c_ends_it(watched: Stack) -> None:
    terminal = Terminal(watched.port, watched.folder, "watch", "--run", str(watched.folder))
    try:
        terminal.wait_for("Ctrl-C ends it.")
        delivery = mail(watched)
        terminal.wait_for("connection from 127.0.0.1")
        terminal.wait_for("S: 354")
        terminal.wait_for("C: (message, ")
        terminal.wait_for(f"= delivered {delivery}")
        terminal.wait_for("closed: ")
        terminal.interrupt()
        assert terminal.end() == 0
    finally:
        terminal.close()
    assert re.search(r"\x1b\[3[2-6]m[0-9a-f]{4}-\d+\x1b\[0m", terminal.raw)
    assert "\x1b[1;32m250" in terminal.raw
    assert "secret" not in terminal.raw
    assert "\x1b[2J" not in terminal.raw
    assert "Traceback" not in terminal.raw


def test_in_a_pipe_it_is_plain_and_shows_only_what_is_asked_for(watched: Stack) -> None:
    with watching(watched.folder, "--address", "^joao@", "--peer", "127.0.0.0/8") as process:
        mail(watched)
        delivery = mail(watched, "joao@example.com")
        lines = lines_until(process, " closed: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    name = f"{delivery[8:12]}-{delivery.rpartition('-')[2].partition('.')[0]}"
    shape = rf"\d\d:\d\d:\d\d\.\d{{3}} {name} (connection from|C:|S:|=|closed:) .*"
    assert all(re.fullmatch(shape, line) for line in lines), lines
    assert " connection from 127.0.0.1" in lines[0]
    (rcpt,) = [number for number, line in enumerate(lines) if "C: RCPT TO:<joao@example.com>" in line]
    assert re.search(r"S: 250 2\.1\.5 .* \[[0-9a-f]{8}, \d+\.\d ms\]$", lines[rcpt + 1])
    assert not any("maria" in line or "secret" in line or "\x1b" in line for line in lines)


def test_json_has_all_events_of_one_session(watched: Stack) -> None:
    with watched.connect() as session:
        session.reply()
        # The last that was greeted; the gateway may have said more since.
        own = re.findall(r"([0-9a-f]+-\d+) S: 220", watched.log("gateway"))[-1]
        with watching(watched.folder, "--json", "--session", own) as process:
            mail(watched)
            session.command("NOOP \x1b[2J")
            session.command("QUIT")
            events: list[dict[str, Any]] = [json.loads(line) for line in lines_until(process, '"closed"')]
    assert {event["session"] for event in events} == {own}
    assert [event["event"] for event in events] == ["client", "server", "client", "server", "closed"]
    assert events[0]["text"] == "NOOP \\x1b[2J"


def test_a_watcher_that_sleeps_is_told_how_much_it_missed_and_the_stack_does_not_wait(watched: Stack) -> None:
    with watching(watched.folder, "--json") as process:
        process.send_signal(signal.SIGSTOP)
        with watched.connect() as session:
            session.reply()
            for _ in range(100):
                session.send(b"NOOP " + b"x" * 1000 + b"\r\n" * 1)
                assert session.reply().startswith("250")
            for _ in range(60):
                session.send((b"NOOP " + b"x" * 200 + b"\r\n") * 100)
                for _ in range(100):
                    assert session.reply().startswith("250")
        process.send_signal(signal.SIGCONT)
        lines = lines_until(process, '"missed"')
    assert json.loads(lines[-1])["count"] > 0


def test_the_end_of_the_stack_is_told_and_watching_goes_on_with_the_next(watched: Stack) -> None:
    with watching(watched.folder) as process:
        assert process.stderr is not None
        watched.terminate("gateway")
        assert process.stderr.readline() == "The stack has gone; waiting for it to come back.\n"
        watched.start("gateway")
        assert process.stderr.readline() == "The stack is back.\n"
        wait_until(watched.takes_mail, "mail is taken again")
        delivery = mail(watched)
        assert lines_until(process, f"= delivered {delivery}")


def test_where_no_stack_runs_it_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["watch", "--run", str(tmp_path)])
    assert done.exit_code == 3
    assert done.output == (
        f"Error: No stack runs in RUN={tmp_path}. Start one with: make up, or correio serve; "
        "or name another folder: --run\n"
    )


@pytest.mark.parametrize("wish", [["--peer", "localhost"], ["--address", "("], ["--color", "red"]])
def test_a_wish_that_is_none_is_wrong_usage(wish: list[str]) -> None:
    assert CliRunner().invoke(main, ["watch", *wish]).exit_code == 2
