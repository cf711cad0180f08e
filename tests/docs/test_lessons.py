"""The lessons, done from top to bottom as a learner would: every session, every marked command, what each must show.

A block ```smtp [NAME=value] is a session, typed into nc, telnet and our client; ```sh run is run by bash where the
lesson stands, and the block ```text behind it is what that must print, `...` being any text.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conditions import DEADLINE
from tests.stack import ROOT, Stack
from tests.transcripts.transcript import Closes, Expect, Send, load, mismatch

LESSONS = [ROOT / "docs" / "lesson.md", ROOT / "docs" / "aula.md"]
PROGRAMS = {
    "nc": ["nc", "127.0.0.1", "{port}"],
    "telnet": ["telnet", "127.0.0.1", "{port}"],
    "client": [sys.executable, "-m", "client", "--port", "{port}"],
}


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands behind the fence, and its text."""

    info: str
    text: str


def blocks(lesson: Path) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\S.*)\n((?:(?!```).*\n)*)```$", lesson.read_text(), re.M)]


class Stacks:
    """Running stacks by their settings, with the users that everyone finds in the repository."""

    def __init__(self, kept: ExitStack) -> None:
        self._kept = kept
        self._running: dict[str, Stack] = {}

    def of(self, settings: str) -> Stack:
        if settings not in self._running:
            folder = self._kept.enter_context(tempfile.TemporaryDirectory(prefix="correio-"))
            users = (ROOT / "users.txt").read_text()
            given = dict(each.split("=") for each in settings.split())
            stack = Stack(Path(folder), users=users, **{"DOMAIN": "correio.localhost", **given})
            self._running[settings] = self._kept.enter_context(stack)
        return self._running[settings]


@pytest.fixture(scope="module")
def stacks() -> Iterator[Stacks]:
    with ExitStack() as kept:
        yield Stacks(kept)


class Typed:
    """A session typed into a program; what it shows is read line by line."""

    def __init__(self, program: str, port: int) -> None:
        command = [word.format(port=port) for word in PROGRAMS[program]]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._seen = b""

    def type(self, octets: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(octets)
        self._process.stdin.flush()

    def line(self) -> str | None:
        """The next line of what the server said, None at the end; telnet speaks for itself before the first."""
        while b"\n" not in self._seen:
            if not (octets := self._read()):
                return None
            self._seen += octets
        line, self._seen = self._seen.split(b"\n", 1)
        text = line.decode().removesuffix("\r")
        return text if re.match(r"[2-5][0-9][0-9][ -]", text) else self.line()

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], DEADLINE)
        assert ready, f"nothing more came: {self._seen!r}"
        return os.read(self._process.stdout.fileno(), 65536)

    def end_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> None:
        assert self._process.stdout is not None
        try:
            self.end_input()
            self._process.wait(DEADLINE)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


def play(block: Block, program: str, port: int, folder: Path) -> None:
    written = folder / "session.smtp"
    written.write_text(f"! LF\n{block.text}")
    typed = Typed(program, port)
    try:
        for event in load(written).events:
            if isinstance(event, Send):
                typed.type(event.octets)
            elif isinstance(event, Expect):
                wrong = mismatch(event.line, typed.line() or "(closes)")
                assert wrong is None, wrong
            else:
                assert isinstance(event, Closes)
                typed.end_input()  # as the lesson says of nc, which does not end by itself
                assert typed.line() is None
    finally:
        typed.end()


def run(block: Block, expected: Block | None, port: int, folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "CORREIO_PORT": str(port)}
    done = subprocess.run(
        ["bash", "-euc", block.text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), block.text
    if expected is not None and expected.info == "text":
        wanted, got = expected.text.splitlines(), done.stdout.splitlines()
        assert len(wanted) == len(got), f"expected {wanted}, got {got}"
        assert not [wrong for pair in zip(wanted, got, strict=True) if (wrong := mismatch(*pair)) is not None]


@pytest.mark.stack
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_goes_as_it_says(lesson: Path, program: str, stacks: Stacks, tmp_path: Path) -> None:
    if shutil.which(PROGRAMS[program][0]) is None:
        assert os.environ.get("CI") != "true", f"{program} is not installed"
        pytest.skip(f"{program} is not installed")
    plain = stacks.of("")
    for mailbox in plain.mailboxes.iterdir():
        mailbox.write_bytes(b"")  # as a user may: each learner begins with empty ones
    (tmp_path / "mailboxes").symlink_to(plain.mailboxes)
    (tmp_path / "users.txt").symlink_to(plain.users)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    all_blocks = blocks(lesson)
    for block, following in zip(all_blocks, [*all_blocks[1:], None], strict=True):
        kind, _, settings = block.info.partition(" ")
        if kind == "smtp":
            play(block, program, stacks.of(settings).port, tmp_path)
        elif block.info == "sh run":
            run(block, following, plain.port, tmp_path)


def test_both_lessons_have_the_same_exercises() -> None:
    english, portuguese = map(blocks, LESSONS)
    assert [block.info for block in english] == [block.info for block in portuguese]
    codes = [[re.findall(r"^S: (\S+)", block.text, re.M) for block in each] for each in (english, portuguese)]
    assert codes[0] == codes[1]


def test_no_block_of_a_lesson_is_overlooked() -> None:
    for lesson in LESSONS:
        text = lesson.read_text()
        assert len(blocks(lesson)) * 2 == len(re.findall(r"^```", text, re.M))
        unmarked = [block.text for block in blocks(lesson) if block.info not in ("sh run", "text", "sh")]
        assert all(each.startswith("S: 220") for each in unmarked)


def test_commands_that_no_test_runs_here_are_those_that_start_something() -> None:
    starting = ("make up", "make down", "nc 127.0.0.1 12000", ".venv/bin/correio")
    for lesson in LESSONS:
        for block in blocks(lesson):
            if block.info == "sh":
                assert all(line.startswith(starting) for line in block.text.splitlines())


def test_the_lessons_are_linked() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "(docs/lesson.md)" in readme
    assert "(docs/aula.md)" in readme
