"""Text for a terminal: harmless, coloured, and broken between words where it is narrow, and nothing of it lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from client.__main__ import COMMANDS, main
from client.terminal import Paint, fit, harmless_line, harmless_text, wants_color
from tests.client.boxes import entry, put
from tests.client.pseudo_terminal import ROOT, Screen


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain é ✉ text\twith tab", "plain é ✉ text\twith tab"),
        ("\x1b[2J", "␛[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("over\rwritten\x7f", "over␍written␡"),
        ("abc\u202efdp.exe", "abc<U+202E>fdp.exe"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_what_acts_on_a_terminal_is_replaced_by_a_visible_sign(given: str, shown: str) -> None:
    assert harmless_line(given) == shown
    assert harmless_text(given) == shown


def test_only_text_keeps_its_line_feeds() -> None:
    assert harmless_text("a\nb") == "a\nb"
    assert harmless_line("a\nb") == "a␊b"


@given(st.text(alphabet=st.characters()))
def test_no_control_character_ever_passes(text: str) -> None:
    assert {c for c in harmless_line(text) if unicodedata.category(c) in ("Cc", "Cs")} <= {"\t"}


@pytest.mark.parametrize(
    ("choice", "environment", "terminal", "colours"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_whether_there_are_colours(choice: str, environment: dict[str, str], terminal: bool, colours: bool) -> None:
    assert wants_color(choice, environment, terminal=terminal) is colours


@pytest.mark.parametrize(
    ("text", "painted"),
    [
        ("250 2.0.0 Ok", "\x1b[1;32m250 2.0.0\x1b[0m Ok"),
        ("354 go on", "\x1b[1;36m354\x1b[0m go on"),
        ("451 4.3.0 later", "\x1b[1;33m451 4.3.0\x1b[0m later"),
        ("550 5.1.1 no", "\x1b[1;31m550 5.1.1\x1b[0m no"),
        ("221", "\x1b[1;32m221\x1b[0m"),
        ("250-a\n250 b 550", "\x1b[1;32m250\x1b[0m-a\n\x1b[1;32m250\x1b[0m b 550"),
    ],
)
def test_a_reply_has_its_codes_in_the_colour_of_their_class(text: str, painted: str) -> None:
    assert Paint(True).reply(text) == painted


def test_without_colours_nothing_is_added() -> None:
    plain = Paint()
    assert [plain.reply("250 ok"), plain.hint("a"), plain.note("b")] == ["250 ok", "a", "b"]


def test_with_colours_the_words_are_the_same() -> None:
    paint = Paint(True)
    painted = [paint.reply("250 ok"), paint.hint("a"), paint.note("b")]
    assert [re.sub(r"\x1b\[[0-9;]*m", "", each) for each in painted] == ["250 ok", "a", "b"]


def test_sessions_that_follow_each_other_have_different_colours() -> None:
    paint = Paint(enabled=True)
    assert len({paint.session("s", number) for number in range(6)}) == 6
    assert Paint().session("s", 1) == "s"


NARROW = 40


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("short", "short"),
        ("one two three four", "one two\n  three\n  four"),
        ("  an indented line goes on", "  an\n  indented\n  line\n  goes on"),
        ("a-word-that-is-too-long is", "a-word-that-is-too-long\n  is"),
        ("kept   blanks  in it", "kept   blanks\n  in it"),
        ("two\nlines that are", "two\nlines that\n  are"),
        ("", ""),
    ],
)
def test_lines_are_broken_between_words(text: str, fitted: str) -> None:
    assert fit(text, 13 if "kept" in text else 10) == fitted


def test_colours_take_no_room_and_wide_letters_two_columns() -> None:
    assert fit("\x1b[1;31mone\x1b[0m \x1b[32mtwo\x1b[0m", 7) == "\x1b[1;31mone\x1b[0m \x1b[32mtwo\x1b[0m"
    assert fit("日本 日本", 8) == "日本\n  日本"
    assert fit("日本 日本", 9) == "日本 日本"
    assert fit("e\u0301e\u0301 e\u0301e\u0301", 5) == "e\u0301e\u0301 e\u0301e\u0301"


@given(st.text(st.sampled_from("ab \n\tç日\u0301"), max_size=80), st.integers(8, 50))
def test_no_word_is_lost_or_cut(text: str, columns: int) -> None:
    fitted = fit(text, columns)
    assert fitted.split() == text.split()
    assert fit(fitted, columns).split() == text.split()


@pytest.mark.parametrize("arguments", [[], *([str(each.name)] for each in COMMANDS)], ids=str)
def test_help_fits_a_narrow_terminal_and_cuts_no_word(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    wide = CliRunner().invoke(main, [*arguments, "--help"], env={"COLUMNS": "200"}).output
    narrow = CliRunner().invoke(main, [*arguments, "--help"], env={"COLUMNS": str(NARROW)}).output
    words = set(wide.split())
    assert [word for word in narrow.split() if word not in words] == []
    assert [line for line in narrow.splitlines() if len(line) > NARROW and " " in line.strip()] == []


def lines_of(raw: str) -> list[str]:
    return [line.rstrip("\r") for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw).split("\n")]


def shown(state: Path, *arguments: str, **environment: str) -> list[str]:
    """What a terminal of 40 columns is told."""
    screen = Screen(state, [sys.executable, "-m", "client", *arguments], columns=NARROW, **environment)
    try:
        screen.end()
        return lines_of(screen.raw)
    finally:
        screen.close()


@pytest.fixture
def mailboxes(tmp_path: Path) -> Path:
    folder = tmp_path / "boxes"
    folder.mkdir()
    put(folder, entry(subject="A subject that is rather longer than such a screen is wide", text="A text too. " * 9))
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "ana@example.org"],
        ["show", "ana@example.org"],
        ["read", "ana@example.org"],
        ["list", "nobody-of-this-name@example.org"],
        ["wait", "--to", "ana@example.org", "--subject", "none", "--timeout", "0.01"],
        ["doctor", "--port", "1"],
        ["status", "--port", "1", "--run", "none"],
        ["--port", "1"],
        ["--port", "1", "--lang", "pt"],
        ["watch", "--run", "none"],
        ["send", "--from", "a@b.example"],
        ["--prot", "1"],
    ],
    ids=" ".join,
)
def test_what_is_said_on_a_narrow_terminal_is_cut_nowhere(
    tmp_path: Path, mailboxes: Path, arguments: list[str]
) -> None:
    lines = shown(tmp_path, *arguments, MAILBOXES=str(mailboxes))
    assert any(line.strip() for line in lines)
    assert [line for line in lines if len(line) > NARROW and " " in line.strip()] == []


def test_a_session_fits_with_its_status_line_and_its_hints(serve: Any, answers: Any, tmp_path: Path) -> None:
    answers.changed["MAIL"] = "503 5.5.1 Before MAIL comes a greeting: HELO example.org or EHLO host.example.org"
    command = [sys.executable, "-m", "client", "--port", str(serve(answers))]
    screen = Screen(tmp_path, command, columns=NARROW)
    try:
        screen.wait_for("host.example.org | Tab completes")
        screen.type("MAIL FROM:<a@b>\r")
        screen.wait_for("503 5.5.1")
        screen.wait_for("hint:")
        screen.wait_for("| Tab completes")
        screen.type("\x04")
        screen.end()
    finally:
        screen.close()
    lines = lines_of(screen.raw)
    assert "503 5.5.1 Before MAIL comes a greeting:" in lines
    # The reply and the hint that stand between the prompts.
    begin = lines.index("503 5.5.1 Before MAIL comes a greeting:")
    assert [line for line in lines[begin : begin + 4] if len(line) > NARROW] == []


def test_what_goes_to_a_pipe_is_left_as_it_is(mailboxes: Path) -> None:
    command = [sys.executable, "-m", "client", "list", "ana@example.org", "--mailboxes", str(mailboxes)]
    given = {**os.environ, "COLUMNS": str(NARROW)}
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=True, timeout=30)
    assert len(done.stdout.splitlines()) == 1


def test_json_is_left_as_it_is_on_a_terminal_too(tmp_path: Path, mailboxes: Path) -> None:
    lines = shown(tmp_path, "list", "ana@example.org", "--json", MAILBOXES=str(mailboxes))
    assert json.loads("".join(lines))["subject"].startswith("A subject that is rather longer")
