from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.session import interactive
from client.session.connection import connect
from client.session.interactive import PipedLines, converse
from client.session.smtp import Expects
from tests.conditions import wait_until

ROOT = Path(__file__).parent.parent.parent.parent
SESSION = b"HELO a\nMAIL FROM:<x@a>\nRCPT TO:<y@b>\nDATA\nSubject: hi\n\n..dots\n.\nQUIT\n"


class ScriptedLines:
    """Lines known beforehand; shows into a list. `None` in the script is the user's leaving."""

    def __init__(self, *script: bytes | None) -> None:
        self.script = list(script)
        self.asked: list[Expects] = []
        self.shown: list[str] = []

    async def next_line(self, expects: Expects) -> bytes | None:
        self.asked.append(expects)
        if not self.script:
            await asyncio.Event().wait()  # the user says nothing any more
        return self.script.pop(0)

    async def show(self, text: str) -> None:
        self.shown.append(text)


async def hold(port: int, lines: Any) -> int:
    async with asyncio.timeout(20):
        return await converse(connect("127.0.0.1", port), lines)


async def test_a_session_ends_with_the_farewell_and_shows_all_that_was_said(serve: Any, answers: Any) -> None:
    lines = ScriptedLines(*SESSION.splitlines())
    assert await hold(serve(answers), lines) == 0
    assert lines.shown == [
        "220 test ESMTP",
        "250 2.0.0 OK",
        "250 2.0.0 OK",
        "250 2.0.0 OK",
        "354 Go ahead",
        "250 2.0.0 Delivered abc.1",
        "221 2.0.0 Bye",
    ]
    assert [expects is Expects.MESSAGE for expects in lines.asked] == [False] * 4 + [True] * 4 + [False]
    # Sent as it was typed: no dot is doubled for the user.
    assert answers.bodies == [b"Subject: hi\r\n\r\n..dots\r\n"]


async def test_a_refused_data_does_not_begin_a_message(serve: Any, answers: Any) -> None:
    answers.changed["DATA"] = "503 5.5.1 MAIL first"
    lines = ScriptedLines(b"DATA", b"QUIT")
    assert await hold(serve(answers), lines) == 0
    assert lines.asked == [Expects.COMMAND, Expects.COMMAND]


async def test_a_refused_quit_does_not_end_the_session(serve: Any, answers: Any) -> None:
    answers.changed["QUIT now"] = "501 5.5.4 No argument"
    assert await hold(serve(answers), ScriptedLines(b"QUIT now", b"NOOP", b"QUIT")) == 0
    assert answers.heard == ["QUIT now", "NOOP", "QUIT"]


async def test_a_421_while_the_user_thinks_is_shown_at_once_and_ends_the_session(serve: Any) -> None:
    lines = ScriptedLines()
    assert await hold(serve(lambda peer: peer.say("220 hello", "421 4.4.2 Too slow")), lines) == 1
    assert lines.shown == ["220 hello", "421 4.4.2 Too slow"]


async def test_last_words_are_shown_when_the_server_closes_in_the_middle(serve: Any) -> None:
    def server(peer: Any) -> None:
        peer.say("220 hello")
        peer.connection.sendall(b"421 going")

    lines = ScriptedLines()
    assert await hold(serve(server), lines) == 1
    assert lines.shown == ["220 hello", "421 going", "(The server closed the connection)"]


async def test_what_a_server_says_cannot_act_on_the_terminal(serve: Any) -> None:
    lines = ScriptedLines()
    await hold(serve(lambda peer: peer.say("220 \x1b[2Jhello", "\x1b]0;bad")), lines)
    assert lines.shown[0] == "220 ␛[2Jhello"
    assert "\x1b" not in "".join(lines.shown)


async def test_who_leaves_at_a_prompt_says_quit(serve: Any, answers: Any) -> None:
    assert await hold(serve(answers), ScriptedLines(b"NOOP", None)) == 0
    assert answers.heard == ["NOOP", "QUIT"]


async def test_who_leaves_inside_a_message_sends_nothing_more(serve: Any) -> None:
    heard = []

    def server(peer: Any) -> None:
        peer.say("220 hello")
        peer.hear()
        peer.say("354 go")
        heard.extend([peer.hear(), peer.hear()])

    lines = ScriptedLines(b"DATA", b"half a message", None)
    assert await hold(serve(server), lines) == 1
    wait_until(lambda: heard, "the server has heard the end")
    assert heard == [b"half a message", b""]
    assert "not delivered" in lines.shown[-1]


async def test_a_server_without_a_farewell_is_left_after_a_while(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "FAREWELL_SECONDS", 0.05)

    def server(peer: Any) -> None:
        peer.say("220 hello")
        assert peer.hear() == b"QUIT"
        assert peer.hear() == b""

    assert await hold(serve(server), ScriptedLines(None)) == 1


async def test_ctrl_c_while_a_reply_is_waited_for_leaves_with_quit(serve: Any) -> None:
    asked = threading.Event()

    def server(peer: Any) -> None:
        peer.say("220 hello")
        assert peer.hear() == b"RSET"
        asked.set()
        assert peer.hear() == b"QUIT"
        peer.say("250 late", "221 bye")

    task = asyncio.ensure_future(converse(connect("127.0.0.1", serve(server)), ScriptedLines(b"RSET")))
    assert await asyncio.to_thread(asked.wait, 20)
    # What asyncio.run does at Ctrl-C.
    task.cancel()
    assert await task == 0


class TestPipedLines:
    @staticmethod
    async def read_all(pieces: list[bytes]) -> list[bytes]:
        reading, writing = os.pipe()

        def write() -> None:
            for piece in pieces:
                os.write(writing, piece)
            os.close(writing)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            lines, read = PipedLines(reading), []
            while (line := await lines.next_line(Expects.COMMAND)) is not None:
                read.append(line)
            return read
        finally:
            thread.join()
            os.close(reading)

    @given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"bc", b""]), max_size=12))
    async def test_lines_are_the_same_however_they_are_cut(self, pieces: list[bytes]) -> None:
        whole = b"".join(pieces)
        expected = [line.removesuffix(b"\r") for line in whole.split(b"\n")]
        assert await self.read_all(pieces) == (expected if expected[-1] else expected[:-1])

    async def test_a_closed_descriptor_is_an_empty_input(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.close(writing)
        assert await PipedLines(reading).next_line(Expects.COMMAND) is None


def run_client(port: int, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "client", "--port", str(port)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=False, **options)


def test_a_session_from_a_pipe_is_plain_text(serve: Any, answers: Any) -> None:
    done = run_client(serve(answers), input=SESSION)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[0] == b"220 test ESMTP"
    assert done.stdout.splitlines()[-1] == b"221 2.0.0 Bye"
    assert b"\x1b" not in done.stdout
    assert b"smtp>" not in done.stdout


def test_a_session_from_a_file_on_disk_works_and_its_end_is_a_quit(serve: Any, answers: Any, tmp_path: Path) -> None:
    script = tmp_path / "session.txt"
    script.write_bytes(b"NOOP\r\nNOOP two")
    with script.open("rb") as file:
        done = run_client(serve(answers), stdin=file)
    assert done.returncode == 0
    assert answers.heard == ["NOOP", "NOOP two", "QUIT"]


def test_each_line_from_a_pipe_waits_for_the_reply_to_the_one_before(serve: Any) -> None:
    def server(peer: Any) -> None:
        peer.say("220 hello")
        for _ in range(3):
            peer.hear()
            peer.connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.connection.recv(1)
            peer.connection.settimeout(20)
            peer.say("221 bye" if peer.heard[-1] == b"QUIT" else "250 ok")

    assert run_client(serve(server), input=b"NOOP 1\nNOOP 2\nQUIT\n").returncode == 0


def test_a_server_that_closes_ends_a_client_whose_pipe_stays_open(serve: Any) -> None:
    reading, writing = os.pipe()
    try:
        done = run_client(serve(lambda peer: peer.say("220 hello", "421 4.3.2 Going down")), stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout) == (1, b"220 hello\n421 4.3.2 Going down\n")
