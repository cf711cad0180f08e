from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from client.language import Language
from client.session.guide import Guide
from client.session.smtp import Expects
from client.session.typed import DOT_NOTE, CommandHistory, TypedLines, history_path


async def typed(history: CommandHistory, text: str, *expects: Expects) -> list[bytes | None]:
    """What the lines are when `text` is typed and the server expects these one after another."""
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        lines = TypedLines(history, Guide())
        keyboard.send_text(text)
        async with asyncio.timeout(20):
            return [await lines.next_line(each) for each in expects]


@pytest.fixture
def history(tmp_path: Path) -> CommandHistory:
    return CommandHistory(tmp_path / "state" / "history")


def remembered(history: CommandHistory) -> list[str]:
    return list(CommandHistory(Path(os.fsdecode(history.filename))).load_history_strings())


async def test_a_line_is_what_was_typed_and_edited(history: CommandHistory) -> None:
    assert await typed(history, "HELx\x7fO é\r", Expects.COMMAND) == ["HELO é".encode()]


@pytest.mark.parametrize("key", ["\x03", "\x04"])
async def test_ctrl_c_and_ctrl_d_are_the_user_s_leaving(history: CommandHistory, key: str) -> None:
    assert await typed(history, key, Expects.COMMAND) == [None]


async def test_only_commands_are_written_down(history: CommandHistory) -> None:
    await typed(
        history,
        "NOOP\rsecret message\r.\rpassword\rAUTH PLAIN abc\r\rNOOP\r",
        *[Expects.COMMAND, Expects.MESSAGE, Expects.MESSAGE, Expects.RESPONSE],
        *[Expects.COMMAND, Expects.COMMAND, Expects.COMMAND],
    )
    assert remembered(history) == ["NOOP"]


async def test_a_paste_is_several_lines_and_none_of_its_message_is_written_down(history: CommandHistory) -> None:
    lines = await typed(
        history,
        "\x1b[200~DATA\nsecret\n.\x1b[201~\r",
        *[Expects.COMMAND, Expects.MESSAGE, Expects.MESSAGE],
    )
    assert lines == [b"DATA", b"secret", b"."]
    assert remembered(history) == ["DATA"]


async def test_the_history_comes_back_with_the_arrow_key(history: CommandHistory) -> None:
    await typed(history, "HELO example.com\r", Expects.COMMAND)
    again = CommandHistory(Path(os.fsdecode(history.filename)))
    again.remember(b"NOOP")

    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        lines = TypedLines(again, Guide())
        prompt = lines._prompts[Expects.COMMAND]
        coming = asyncio.ensure_future(lines.next_line(Expects.COMMAND))
        async with asyncio.timeout(20):
            # The prompt loads its history beside its work.
            while len(prompt.default_buffer._working_lines) < 3:
                await asyncio.sleep(0.01)
            keyboard.send_text("\x1b[A\x1b[A\r")
            assert await coming == b"HELO example.com"


def test_the_history_file_is_for_its_owner_alone(history: CommandHistory) -> None:
    path = Path(os.fsdecode(history.filename))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_history_that_cannot_be_kept_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    history = CommandHistory(tmp_path / "file" / "history")
    assert await typed(history, "NOOP\rRSET\r", Expects.COMMAND, Expects.COMMAND) == [b"NOOP", b"RSET"]


def test_the_history_is_where_xdg_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert history_path() == Path("/var/state/correio/history")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", ignored)
        assert history_path() == Path("/home/ana/.local/state/correio/history")


async def test_lines_of_a_message_are_corrected_before_it_is_sent(history: CommandHistory) -> None:
    up, end = "\x1b[A", "\x05"
    typing = f"Subject: helo\r\rHi{up}{up}{end}\x7flo{end}\x1b[B\x1b[B{end}\r.\r"
    lines = await typed(history, typing, *[Expects.MESSAGE] * 4)
    assert lines == [b"Subject: hello", b"", b"Hi", b"."]


async def test_a_paste_may_hold_a_message_and_commands_behind_it(history: CommandHistory) -> None:
    expects = [Expects.MESSAGE, Expects.MESSAGE, Expects.COMMAND]
    assert await typed(history, "\x1b[200~hi\n.\nQUIT\x1b[201~\r", *expects) == [b"hi", b".", b"QUIT"]


@pytest.mark.parametrize(
    ("line", "noted"), [(".hidden", True), ("..kept", False), ("", False), ("..", False), ("a.b", False)]
)
async def test_a_dot_that_the_server_will_drop_is_noted_but_sent_as_typed(
    history: CommandHistory, capsys: pytest.CaptureFixture[str], line: str, noted: bool
) -> None:
    assert await typed(history, f"{line}\r.\r", Expects.MESSAGE, Expects.MESSAGE) == [line.encode(), b"."]
    note = f"({DOT_NOTE.say(Language.ENGLISH, line=f'.{line}')})"
    assert (note in capsys.readouterr().out) is noted
