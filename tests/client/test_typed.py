from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from client.smtp import Expects
from client.typed import DOT_NOTE, CommandHistory, TypedLines, history_path

ROOT = Path(__file__).parent.parent.parent


def typed(history: CommandHistory, text: str, *expects: Expects) -> list[bytes | None]:
    """What the lines are when `text` is typed and the server expects these one after another."""

    async def run() -> list[bytes | None]:
        with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
            lines = TypedLines(history)
            keyboard.send_text(text)
            async with asyncio.timeout(20):
                return [await lines.next_line(each) for each in expects]

    return asyncio.run(run())


@pytest.fixture
def history(tmp_path: Path) -> CommandHistory:
    return CommandHistory(tmp_path / "state" / "history")


def remembered(history: CommandHistory) -> list[str]:
    return list(CommandHistory(Path(os.fsdecode(history.filename))).load_history_strings())


def test_a_line_is_what_was_typed_and_edited(history: CommandHistory) -> None:
    assert typed(history, "HELx\x7fO é\r", Expects.COMMAND) == ["HELO é".encode()]


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_are_the_user_s_leaving(history: CommandHistory, key: str) -> None:
    assert typed(history, key, Expects.COMMAND) == [None]


def test_only_commands_are_written_down(history: CommandHistory) -> None:
    typed(
        history,
        "NOOP\rsecret message\rpassword\rAUTH PLAIN abc\r\rNOOP\r",
        *[Expects.COMMAND, Expects.MESSAGE, Expects.RESPONSE, Expects.COMMAND, Expects.COMMAND, Expects.COMMAND],
    )
    assert remembered(history) == ["NOOP"]


def test_a_paste_is_several_lines_and_none_of_its_message_is_written_down(history: CommandHistory) -> None:
    lines = typed(
        history,
        "\x1b[200~DATA\nsecret\n.\x1b[201~\r",
        *[Expects.COMMAND, Expects.MESSAGE, Expects.MESSAGE],
    )
    assert lines == [b"DATA", b"secret", b"."]
    assert remembered(history) == ["DATA"]


def test_the_history_comes_back_with_the_arrow_key(history: CommandHistory) -> None:
    typed(history, "HELO example.com\r", Expects.COMMAND)
    again = CommandHistory(Path(os.fsdecode(history.filename)))
    again.remember(b"NOOP")

    async def run() -> bytes | None:
        with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
            lines = TypedLines(again)
            prompt = lines._commands
            coming = asyncio.ensure_future(lines.next_line(Expects.COMMAND))
            async with asyncio.timeout(20):
                # The prompt loads its history beside its work.
                while len(prompt.default_buffer._working_lines) < 3:
                    await asyncio.sleep(0.01)
                keyboard.send_text("\x1b[A\x1b[A\r")
                return await coming

    assert asyncio.run(run()) == b"HELO example.com"


def test_the_history_file_is_for_its_owner_alone(history: CommandHistory) -> None:
    path = Path(os.fsdecode(history.filename))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_history_that_cannot_be_kept_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    history = CommandHistory(tmp_path / "file" / "history")
    assert typed(history, "NOOP\rRSET\r", Expects.COMMAND, Expects.COMMAND) == [b"NOOP", b"RSET"]


def test_the_history_is_where_xdg_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert history_path() == Path("/var/state/correio/history")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", ignored)
        assert history_path() == Path("/home/ana/.local/state/correio/history")


@pytest.mark.parametrize(
    ("line", "noted"), [(".hidden", True), ("..kept", False), (".", False), ("..", False), ("a.b", False)]
)
def test_a_dot_that_the_server_will_drop_is_noted_but_sent_as_typed(
    history: CommandHistory, capsys: pytest.CaptureFixture[str], line: str, noted: bool
) -> None:
    assert typed(history, f"{line}\r", Expects.MESSAGE) == [line.encode()]
    assert (DOT_NOTE in capsys.readouterr().out) is noted


class Terminal:
    """The client on a real pseudo-terminal."""

    def __init__(self, port: int, state: Path) -> None:
        self.master, slave = pty.openpty()
        environment = {
            **os.environ,
            "TERM": "xterm",
            "XDG_STATE_HOME": str(state),
            # This terminal answers no questions about its cursor.
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }
        command = [sys.executable, "-m", "client", "--port", str(port)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until `text` stands in what has not been waited for yet."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], self.seen
            try:
                octets = os.read(self.master, 4096).decode("utf-8", "replace")
            except OSError:  # EIO: the client has closed its end
                raise AssertionError(f"{text!r} did not come: {self.seen!r}") from None
            self.seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", octets)
        self.seen = self.seen.partition(text)[2]

    def end(self) -> int:
        return self.process.wait(20)


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Any]:
    started: list[Terminal] = []

    def start(port: int) -> Terminal:
        started.append(Terminal(port, tmp_path))
        return started[-1]

    yield start
    for terminal in started:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)


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
    terminal.wait_for(DOT_NOTE)
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


def test_lines_typed_faster_than_the_server_answers_are_not_lost(serve: Any, answers: Any, terminals: Any) -> None:
    terminal = terminals(serve(answers))
    terminal.wait_for("smtp>")
    terminal.type("HELO a\rDATA\rhello\r.\rQUIT\r")
    terminal.wait_for("221 2.0.0 Bye")
    assert terminal.end() == 0
    assert answers.bodies == [b"hello\r\n"]
