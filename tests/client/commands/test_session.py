"""Whole sessions on a real terminal, in both languages, with colours and without; and what the options do."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.client.pseudo_terminal import ROOT, Terminal
from tests.stack import Connection, Stack
from tests.transcripts.transcript import Closes, Expect, Leaves, Send, load, mismatch


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Any]:
    started: list[Terminal] = []

    def start(port: int, *arguments: str, **environment: str) -> Terminal:
        started.append(Terminal(port, tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def test_a_person_types_a_whole_session(serve: Any, answers: Any, terminals: Any, tmp_path: Path) -> None:
    terminal = terminals(serve(answers))
    terminal.wait_for("220 test ESMTP")
    for command in ("HELO a", "MAIL FROM:<x@a>", "RCPT TO:<y@b>"):
        terminal.wait_for("smtp>")
        terminal.type(command + "\r")
        terminal.wait_for("250 2.0.0 OK")
    terminal.wait_for("smtp>")
    terminal.type("DATA\r")
    terminal.wait_for("354 Go ahead")
    for line in ("hello", ".x", "."):
        terminal.wait_for("message>")
        terminal.type(line + "\r")
    terminal.wait_for("To keep one, type two: ..x")
    terminal.wait_for("250 2.0.0 Delivered abc.1")
    terminal.wait_for("smtp>")
    terminal.type("QUIT\r")
    terminal.wait_for("221 2.0.0 Bye")
    assert terminal.end() == 0
    assert answers.bodies == [b"hello\r\n.x\r\n"]
    history = (tmp_path / "correio" / "history").read_text()
    assert "RCPT TO:<y@b>" in history
    assert "hello" not in history


def test_a_time_out_is_shown_at_once_to_a_person_in_the_middle_of_a_line(serve: Any, terminals: Any) -> None:
    typing = threading.Event()

    def server(peer: Any) -> None:
        peer.say("220 hello")
        typing.wait(20)
        peer.say("421 4.4.2 Too slow")

    terminal = terminals(serve(server))
    terminal.wait_for("smtp>")
    terminal.type("MAIL FR")
    terminal.wait_for("MAIL FR")
    typing.set()
    terminal.wait_for("421 4.4.2 Too slow")
    assert terminal.end() == 1


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_at_the_prompt_leave_politely(serve: Any, answers: Any, terminals: Any, key: str) -> None:
    terminal = terminals(serve(answers))
    terminal.wait_for("smtp>")
    terminal.type(key)
    terminal.wait_for("221 2.0.0 Bye")
    assert terminal.end() == 0
    assert answers.heard == ["QUIT"]


def test_ctrl_c_clears_the_line_on_the_screen_and_the_next_one_leaves(
    serve: Any, answers: Any, terminals: Any
) -> None:
    terminal = terminals(serve(answers))
    terminal.wait_for("smtp>")
    terminal.type("NOOP this is wrong")
    terminal.wait_for("wrong")
    terminal.type("\x03RSET\r")
    terminal.wait_for("250 2.0.0 OK")
    terminal.wait_for("smtp>")
    # By a signal, as from another program, it is the same.
    terminal.type("HELO b")
    terminal.wait_for("HELO b")
    terminal.interrupt()
    terminal.wait_until_gone("HELO b")
    terminal.type("RSET\r")
    terminal.wait_for("250 2.0.0 OK")
    terminal.wait_for("smtp>")
    terminal.type("DATA\r")
    terminal.wait_for("message>")
    terminal.type("wrong\x03right\r.\r")
    terminal.wait_for("Delivered abc.1")
    terminal.wait_for("smtp>")
    terminal.type("\x03")
    terminal.wait_for("221 2.0.0 Bye")
    assert terminal.end() == 0
    assert answers.heard == ["RSET", "RSET", "DATA", "QUIT"]
    assert answers.bodies == [b"right\r\n"]


def test_a_second_ctrl_c_waits_for_nothing(serve: Any, terminals: Any) -> None:
    asked, left = threading.Event(), threading.Event()

    def server(peer: Any) -> None:
        peer.say("220 hello")
        assert peer.hear() == b"RSET"
        asked.set()
        assert peer.hear() == b"QUIT"
        left.set()
        assert peer.hear() == b""

    terminal = terminals(serve(server))
    terminal.wait_for("smtp>")
    terminal.type("RSET\r")
    assert asked.wait(20)
    terminal.interrupt()
    assert left.wait(20)
    terminal.interrupt()
    assert terminal.end() == 130


def test_lines_typed_faster_than_the_server_answers_are_not_lost(serve: Any, answers: Any, terminals: Any) -> None:
    terminal = terminals(serve(answers))
    terminal.wait_for("smtp>")
    terminal.type("HELO a\rDATA\rhello\r.\rQUIT\r")
    terminal.wait_for("221 2.0.0 Bye")
    assert terminal.end() == 0
    assert answers.bodies == [b"hello\r\n"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="correio-") as folder,
        Stack(Path(folder), EXPLAIN="on", DOMAIN="mail.example.com") as running,
    ):
        yield running


# ECMA-48 SGR with a colour of the foreground or background in it; bold and reversed are no colours.
_COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:[349]|10)[0-7](?:;[0-9;]*)?m")
# What stands on the screen in each language: the status line, a hint, the status after HELO, an explanation.
_WORDS = {
    "en": ("connected, not greeted yet", "hint: greet first", "greeted as gmail.com | next:", "phase: connected ->"),
    "pt": (
        "conectado, falta cumprimentar",
        "dica: cumprimente antes",
        "cumprimentado como gmail.com | agora:",
        "fase: conectado ->",
    ),
}


@pytest.mark.stack
@pytest.mark.parametrize("color", ["always", "never"])
@pytest.mark.parametrize("language", _WORDS)
def test_a_learner_s_session_on_the_running_stack(stack: Stack, terminals: Any, language: str, color: str) -> None:
    status, hint, greeted, explained = _WORDS[language]
    terminal = terminals(stack.port, "--lang", language, "--color", color, "--explain")
    terminal.wait_for("220 mail.example.com")
    terminal.wait_for(status)
    terminal.type("MAIL FROM:<you@gmail.com>\r")
    terminal.wait_for("503 5.5.1")
    terminal.wait_for(hint)
    terminal.type("he\tgmail.com\r")
    terminal.wait_for("250 mail.example.com welcomes gmail.com")
    terminal.wait_for("  = worker ")
    terminal.wait_for(explained)
    terminal.wait_for(greeted)
    terminal.type("QUIT\r")
    terminal.wait_for("221 2.0.0")
    assert terminal.end() == 0
    assert ("\x1b[1;31m503 5.5.1\x1b[0m" in terminal.raw) is (color == "always")
    assert (_COLOUR.search(terminal.raw) is not None) is (color == "always")
    assert "XEXPLAIN" not in terminal.raw


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        ({"LANG": "pt_BR.UTF-8"}, "dica: "),
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": "C.UTF-8"}, "hint: "),
        ({}, "hint: "),
    ],
)
def test_the_locale_chooses_the_language(
    serve: Any, answers: Any, terminals: Any, environment: dict[str, str], hint: str
) -> None:
    answers.changed["XYZ"] = "500 5.5.2 What?"
    terminal = terminals(serve(answers), **environment)
    terminal.wait_for("smtp>")
    terminal.type("XYZ\r")
    terminal.wait_for(hint)
    terminal.type("QUIT\r")
    assert terminal.end() == 0


def test_the_prompts_speak_the_language(serve: Any, answers: Any, terminals: Any) -> None:
    terminal = terminals(serve(answers), "--lang", "pt")
    terminal.wait_for("smtp>")
    terminal.type("DATA\r")
    terminal.wait_for("mensagem>")
    terminal.type(".\r")
    terminal.wait_for("smtp>")
    terminal.type("QUIT\r")
    assert terminal.end() == 0


def test_no_color_is_respected_on_a_terminal(serve: Any, answers: Any, terminals: Any) -> None:
    terminal = terminals(serve(answers), NO_COLOR="1")
    terminal.wait_for("220 test ESMTP")
    terminal.wait_for("smtp>")
    terminal.type("QUIT\r")
    assert terminal.end() == 0
    assert "\x1b[1;32m" not in terminal.raw


def test_hints_can_be_switched_off(serve: Any, answers: Any, terminals: Any) -> None:
    answers.changed["XYZ"] = "500 5.5.2 What?"
    terminal = terminals(serve(answers), "--no-hints")
    terminal.wait_for("smtp>")
    terminal.type("XYZ\r")
    terminal.wait_for("500 5.5.2 What?")
    terminal.wait_for("smtp>")
    terminal.type("QUIT\r")
    assert terminal.end() == 0
    assert "hint:" not in terminal.raw


def test_a_dumb_terminal_takes_a_message_line_by_line(serve: Any, answers: Any, terminals: Any) -> None:
    terminal = terminals(serve(answers), TERM="dumb")
    terminal.wait_for("smtp>")
    terminal.type("DATA\r")
    for line in ("hello", ".", "QUIT"):
        terminal.wait_for("smtp>" if line == "QUIT" else "message>")
        terminal.type(f"{line}\r")
    terminal.wait_for("221 2.0.0 Bye")
    assert terminal.end() == 0
    assert answers.bodies == [b"hello\r\n"]
    assert "\x1b[1;32m" not in terminal.raw


def piped(port: int, typed: bytes, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "client", "--port", str(port), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        timeout=30,
        check=False,
    )


def test_from_a_pipe_there_is_what_was_said_and_what_was_asked_for(serve: Any, answers: Any) -> None:
    answers.changed["XYZ"] = "500 5.5.2 What?"
    plain = piped(serve(answers), b"XYZ\nQUIT\n", LANG="pt_BR.UTF-8")
    assert plain.stdout == b"220 test ESMTP\n500 5.5.2 What?\n221 2.0.0 Bye\n"
    asked = piped(serve(answers), b"XYZ\nQUIT\n", "--hints", "--lang", "pt", "--color", "always")
    assert b"\x1b[1;31m500 5.5.2\x1b[0m What?\n" in asked.stdout
    assert b"dica: o que pode vir agora" in asked.stdout


def test_a_server_that_explains_nothing_is_noted_once_and_times_are_shown(serve: Any, answers: Any) -> None:
    answers.changed["XEXPLAIN"] = "502 5.5.1 XEXPLAIN is not offered"
    done = piped(serve(answers), b"NOOP\nNOOP\nQUIT\n", "--explain", "--lang", "en")
    assert done.stdout.count(b"does not explain") == 1
    assert done.stdout.count(b" ms\n") == 3
    assert answers.heard[0] == "XEXPLAIN ON"


@pytest.mark.stack
def test_each_line_s_worker_is_one_that_runs_and_data_is_explained_too(stack: Stack) -> None:
    session = b"HELO a.example\nMAIL FROM:<x@a.example>\nRCPT TO:<maria@example.com>\nDATA\nhi\n.\nQUIT\n"
    done = piped(stack.port, session, "--explain", "--lang", "en")
    lines = done.stdout.decode().splitlines()
    workers = [line.split()[2].partition("@")[0] for line in lines if line.startswith("  = worker ")]
    running = {str(stack.processes[name].pid) for name in stack.worker_names}
    assert len(workers) == 6
    assert set(workers) <= running
    steps = [int(line.split("step ")[1].split(",")[0]) for line in lines if line.startswith("  = worker ")]
    assert steps == sorted(steps)
    assert "    phase: recipients -> message" in lines
    assert "    phase: message -> greeted" in lines


@pytest.mark.stack
def test_a_saved_session_is_played_again_with_the_same_replies(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "session.smtp"
    typed = "HELO a.example\nXYZ\nMAIL FROM:<x@a.example>\nRCPT TO:<maria@example.com>\n"
    typed += "DATA\nSubject: {ab*3}\n\n..dot é\n.\nNOOP \x08\nQUIT\n"
    assert piped(stack.port, typed.encode(), "--explain", "--save", str(path)).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved = load(path)
    assert saved.input == typed.replace("\n", "\r\n").encode()
    with Connection(stack.port) as client:
        for event in saved.events:
            if isinstance(event, Send):
                client.send(event.octets)
            elif isinstance(event, Expect):
                wrong = mismatch(event.line, client.line().decode())
                assert wrong is None, wrong
            else:
                assert isinstance(event, Closes)
                assert client.line() == b""
    assert isinstance(saved.events[-1], Closes)


def test_a_session_that_is_left_in_its_message_is_saved_as_that(serve: Any, answers: Any, tmp_path: Path) -> None:
    def server(peer: Any) -> None:
        peer.say("220 hello")
        peer.hear()
        peer.say("354 go")
        assert [peer.hear(), peer.hear()] == [b"half", b""]

    path = tmp_path / "session.smtp"
    assert piped(serve(server), b"DATA\nhalf\n", "--save", str(path)).returncode == 1
    assert load(path).events[-1] == Leaves()


def test_a_session_is_not_begun_that_cannot_be_saved(serve: Any, tmp_path: Path) -> None:
    def server(peer: Any) -> None:
        peer.say("220 hello")
        with suppress(ConnectionResetError):  # the client leaves without having read the greeting
            assert peer.hear() == b""

    done = piped(serve(server), b"QUIT\n", "--save", str(tmp_path / "none" / "session.smtp"))
    assert done.returncode == 2
    assert b"--save" in done.stderr
    assert b"No such file or directory" in done.stderr


def test_a_session_with_nobody_leaves_the_last_one_s_record_alone(tmp_path: Path) -> None:
    path = tmp_path / "session.smtp"
    path.write_text("precious")
    done = piped(1, b"", "--save", str(path))
    assert done.returncode == 3
    assert path.read_text() == "precious"


def test_options_of_a_session_are_not_for_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "client", "--explain", "read", "ana@example.com"],
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert b"are for a session" in done.stderr
