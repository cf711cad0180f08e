"""The prompts: what Enter and Tab do."""

from __future__ import annotations

import asyncio

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import ColorDepth, DummyOutput

from client.session.completion import CommandCompleter
from client.session.editor import ended, prompts
from client.session.guide import Guide
from client.session.smtp import GREETING, Expects, Reply
from client.terminal import Paint


async def typed(text: str, expects: Expects, guide: Guide | None = None) -> str:
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
    assert await typed("one\r  two\r\r.\r", Expects.MESSAGE) == "one\n  two\n\n."


async def test_enter_ends_a_command() -> None:
    assert await typed("NOOP\r", Expects.COMMAND) == "NOOP"


async def test_tab_brings_the_likeliest_at_once_and_a_second_one_goes_on_from_there() -> None:
    guide = Guide()
    guide.heard(GREETING, Reply(220, ("hi",)), 0)
    guide.heard(b"HELO gmail.com", Reply(250, ("hi",)), 0)
    assert await typed("m\t\t\r", Expects.COMMAND, guide) == "MAIL FROM:<you@gmail.com>"


async def test_tab_goes_round_where_there_are_several() -> None:
    assert await typed("\t\r", Expects.COMMAND) == "HELO "
    assert await typed("\t\t\r", Expects.COMMAND) == "EHLO "


async def test_in_a_message_tab_completes_nothing() -> None:
    assert (await typed("m\tx\r.\r", Expects.MESSAGE)).startswith("m")
    assert "MAIL" not in await typed("m\t\r.\r", Expects.MESSAGE)


@pytest.mark.parametrize(("enabled", "depth"), [(True, ColorDepth.DEPTH_4_BIT), (False, ColorDepth.DEPTH_1_BIT)])
def test_prompts_have_the_colours_that_the_guide_has(enabled: bool, depth: ColorDepth) -> None:
    guide = Guide(paint=Paint(enabled))
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        made = prompts(guide, InMemoryHistory(), CommandCompleter(guide.standing, guide.language))
    assert {prompt.app.color_depth for prompt in made.values()} == {depth}


@pytest.mark.parametrize("expects", [Expects.COMMAND, Expects.RESPONSE])
async def test_ctrl_c_clears_what_is_typed_and_leaves_where_there_is_nothing(expects: Expects) -> None:
    assert await typed("MAIL FROM:<wrong\x03NOOP\r", expects) == "NOOP"
    # In the middle of the line too.
    assert await typed("one two\x1b[D\x1b[D\x03three\r", expects) == "three"
    with pytest.raises(KeyboardInterrupt):
        await typed("half a line\x03\x03", expects)


async def test_ctrl_c_in_a_message_clears_its_line_alone() -> None:
    assert await typed("one\rtwo\x03three\r.\r", Expects.MESSAGE) == "one\nthree\n."
    # Also one that was gone back to.
    assert await typed("one\rtwo\x1b[A\x03first\x1b[B\r.\r", Expects.MESSAGE) == "first\ntwo\n."
    with pytest.raises(KeyboardInterrupt):
        await typed("one\r\x03", Expects.MESSAGE)


async def test_ctrl_d_leaves_on_an_empty_line_alone() -> None:
    assert await typed("NOOP\x04\r", Expects.COMMAND) == "NOOP"
    with pytest.raises(EOFError):
        await typed("\x04", Expects.COMMAND)
