"""Standard output: JSON whatever the locale, and what happens when nobody takes it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.output import EXIT_NO_OUTPUT, as_line
from tests.client.boxes import entry, put
from tests.stack import ROOT


def run(*arguments: str, folder: Path, **given: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "client", *arguments]
    environment = {**os.environ, "MAILBOXES": str(folder), **given.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=False, timeout=60, stderr=subprocess.PIPE, **given
    )  # type: ignore[call-overload,no-any-return]


@given(st.text(alphabet=st.characters() | st.sampled_from("\x7f\x9b\u202e\u2028\ud800é\x1b")))
def test_any_text_is_json_that_is_utf8_and_does_nothing_to_a_terminal(text: str) -> None:
    line = as_line({"text": text})
    assert json.loads(line.encode()) == {"text": text}
    steering = {*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000), 0x061C, 0x200E, 0x200F, 0x2028, 0x2029}
    assert not {*map(ord, line)} & {*steering, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def test_what_does_no_harm_is_as_it_is() -> None:
    assert as_line("Olá 😀") == '"Olá 😀"'


@pytest.mark.parametrize(
    ("codec", "command"),
    [
        ("latin-1", ["show"]),
        ("ascii", ["show"]),
        ("utf-16", ["show"]),
        ("ascii", ["list"]),
        ("utf-16", ["wait", "--to"]),
    ],
    ids=str,
)
def test_json_is_utf8_whatever_python_is_told(tmp_path: Path, codec: str, command: list[str]) -> None:
    put(tmp_path, entry(subject="Olá 😀"))
    environment = {"PYTHONIOENCODING": codec, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(*command, "ana@example.org", "--json", folder=tmp_path, stdout=subprocess.PIPE, env=environment)
    assert done.stderr == b""
    assert "Olá 😀".encode() in done.stdout
    assert json.loads(done.stdout.decode())["subject"] == "Olá 😀"


COMMANDS = [
    ["show", "ana@example.org"],
    ["show", "ana@example.org", "--json"],
    ["show", "ana@example.org", "--raw"],
    ["show", "ana@example.org", "--part", "1"],
    ["list", "ana@example.org"],
    ["list", "ana@example.org", "--json"],
    ["read", "ana@example.org"],
    ["read", "ana@example.org", "--raw"],
    ["wait", "--to", "ana@example.org"],
    ["wait", "--to", "ana@example.org", "--json"],
    ["status", "--port", "1"],
    ["status", "--port", "1", "--json"],
    ["doctor", "--port", "1"],
    ["doctor", "--port", "1", "--json"],
    ["shell-completion", "bash"],
    ["--help"],
    ["--version"],
    ["send", "--help"],
    ["watch", "--help"],
]


def assert_one_line(done: subprocess.CompletedProcess[bytes], why: str) -> None:
    assert done.returncode == EXIT_NO_OUTPUT
    assert done.stderr.decode() == f"Error: Cannot write to standard output: {why}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux and some others have a full device")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, command: list[str]) -> None:
    put(tmp_path, entry(text="x\n" * 5000))
    with Path("/dev/full").open("wb") as full:
        assert_one_line(run(*command, folder=tmp_path, stdout=full), "No space left on device")


@pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[1], COMMANDS[2], COMMANDS[5], COMMANDS[-4]], ids=" ".join)
def test_a_pipe_that_nobody_reads_is_told_in_one_line(tmp_path: Path, command: list[str]) -> None:
    put(tmp_path, entry(text="x\n" * 5000))
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert_one_line(run(*command, folder=tmp_path, stdout=writing), "Broken pipe")
    finally:
        os.close(writing)


@pytest.mark.parametrize("below", ["a full disk", "a pipe that nobody reads", "nothing"])
def test_the_status_is_the_same_where_errors_go_to_the_same_place(tmp_path: Path, below: str) -> None:
    """As in `correio list ana@example.org > report.txt 2>&1`."""
    if below == "a full disk":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, output = os.pipe()
        os.close(reading)
    closed = ">&- 2>&-" if below == "nothing" else ""
    command = f"exec {shlex.quote(sys.executable)} -m client list ana@example.org {closed}"
    put(tmp_path, entry())
    try:
        environment = {**os.environ, "MAILBOXES": str(tmp_path)}
        done = subprocess.run(
            ["sh", "-c", command], cwd=ROOT, env=environment, timeout=60, stdout=output, stderr=output
        )
    finally:
        os.close(output)
    assert done.returncode == EXIT_NO_OUTPUT


def test_an_output_that_was_closed_before_is_told_in_one_line(tmp_path: Path) -> None:
    put(tmp_path, entry())
    command = f'exec "{sys.executable}" -m client show ana@example.org >&-'
    environment = {**os.environ, "MAILBOXES": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment, stderr=subprocess.PIPE, check=False, timeout=60
    )
    assert_one_line(done, "it is closed")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux and some others have a full device")
def test_a_session_and_a_mail_that_was_sent_tell_of_a_full_disk_too(tmp_path: Path, serve: Any, answers: Any) -> None:
    with Path("/dev/full").open("wb") as full:
        session = run("--port", str(serve(answers)), folder=tmp_path, stdout=full, input=b"NOOP\nQUIT\n")
        assert_one_line(session, "No space left on device")
        ends = ["--from", "ana@example.org", "--to", "joao@example.com"]
        mail = run("send", "--port", str(serve(answers)), *ends, folder=tmp_path, stdout=full, input=b"hi\n")
        assert_one_line(mail, "No space left on device")
    assert answers.bodies[-1].endswith(b"hi\r\n"), "it was delivered all the same"
