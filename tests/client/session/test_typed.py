"""Lines from a terminal: what keys do at each prompt, and what is remembered."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth, DummyOutput

from client.language import Language
from client.session.guide import Guide
from client.session.smtp import GREETING, Expects, ServerReply
from client.session.typed import DOT_NOTE, CommandCompleter, CommandHistory, TypedLines, ended, history_path, prompts
from client.terminal import Paint
from tests.conditions import until


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
        # The prompt loads its history beside its work.
        await until(lambda: len(prompt.default_buffer._working_lines) == 3, "for the history")
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


async def answer(text: str, expects: Expects, guide: Guide | None = None) -> str:
    """What the prompt gives when `text` is typed as fast as can be."""
    guide = guide or Guide()
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        made = prompts(guide, InMemoryHistory(), CommandCompleter(guide.standing, guide.language))
        keyboard.send_text(text)
        async with asyncio.timeout(20):
            return await made[expects].prompt_async()


@pytest.mark.parametrize(
    ("text", "end"),
    [("", False), (".", True), ("a\n.", True), ("a\n..", False), ("a.", False), ("a\n.\nQUIT", True), (". ", False)],
)
def test_a_single_dot_on_a_line_ends_a_message(text: str, end: bool) -> None:
    assert ended(text) is end


async def test_enter_begins_a_line_of_a_message_until_its_end() -> None:
    assert await answer("one\r  two\r\r.\r", Expects.MESSAGE) == "one\n  two\n\n."


async def test_enter_ends_a_command() -> None:
    assert await answer("NOOP\r", Expects.COMMAND) == "NOOP"


async def test_tab_brings_the_likeliest_at_once_and_a_second_one_goes_on_from_there() -> None:
    guide = Guide()
    guide.heard(GREETING, ServerReply(220, ("hi",)), 0)
    guide.heard(b"HELO gmail.com", ServerReply(250, ("hi",)), 0)
    assert await answer("m\t\t\r", Expects.COMMAND, guide) == "MAIL FROM:<you@gmail.com>"


async def test_tab_goes_round_where_there_are_several() -> None:
    assert await answer("\t\r", Expects.COMMAND) == "HELO "
    assert await answer("\t\t\r", Expects.COMMAND) == "EHLO "


async def test_in_a_message_tab_completes_nothing() -> None:
    assert (await answer("m\tx\r.\r", Expects.MESSAGE)).startswith("m")
    assert "MAIL" not in await answer("m\t\r.\r", Expects.MESSAGE)


@pytest.mark.parametrize(("enabled", "depth"), [(True, ColorDepth.DEPTH_4_BIT), (False, ColorDepth.DEPTH_1_BIT)])
def test_prompts_have_the_colours_that_the_guide_has(enabled: bool, depth: ColorDepth) -> None:
    guide = Guide(paint=Paint(enabled))
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        made = prompts(guide, InMemoryHistory(), CommandCompleter(guide.standing, guide.language))
    assert {prompt.app.color_depth for prompt in made.values()} == {depth}


@pytest.mark.parametrize("expects", [Expects.COMMAND, Expects.RESPONSE])
async def test_ctrl_c_clears_what_is_typed_and_leaves_where_there_is_nothing(expects: Expects) -> None:
    assert await answer("MAIL FROM:<wrong\x03NOOP\r", expects) == "NOOP"
    # In the middle of the line too.
    assert await answer("one two\x1b[D\x1b[D\x03three\r", expects) == "three"
    with pytest.raises(KeyboardInterrupt):
        await answer("half a line\x03\x03", expects)


async def test_ctrl_c_in_a_message_clears_its_line_alone() -> None:
    assert await answer("one\rtwo\x03three\r.\r", Expects.MESSAGE) == "one\nthree\n."
    # Also one that was gone back to.
    assert await answer("one\rtwo\x1b[A\x03first\x1b[B\r.\r", Expects.MESSAGE) == "first\ntwo\n."
    with pytest.raises(KeyboardInterrupt):
        await answer("one\r\x03", Expects.MESSAGE)


async def test_ctrl_c_behind_a_line_that_is_taken_already_does_nothing() -> None:
    guide = Guide()
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        prompt = prompts(guide, InMemoryHistory(), CommandCompleter(guide.standing, guide.language))[Expects.COMMAND]
        keyboard.send_text("NOOP\r")
        assert await prompt.prompt_async() == "NOOP"
        # The signal's callback runs in a later turn of the loop than it came in.
        prompt.app.key_processor.send_sigint()
        keyboard.send_text("RSET\r")
        assert await prompt.prompt_async() == "RSET"


async def test_ctrl_d_leaves_on_an_empty_line_alone() -> None:
    assert await answer("NOOP\x04\r", Expects.COMMAND) == "NOOP"
    with pytest.raises(EOFError):
        await answer("\x04", Expects.COMMAND)
