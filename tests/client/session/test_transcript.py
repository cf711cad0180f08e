"""The transcript of a session: its form, its file, and that it can be played again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.session.smtp import Expects, ServerReply
from client.session.transcript import TranscriptWriter, client_line, server_lines
from tests.transcripts.transcript import Expect, Send, load, mismatch


@given(
    line=st.binary(max_size=30).filter(lambda it: b"\n" not in it)
    | st.text(max_size=20).map(
        lambda it: it.replace("\n", "").encode("utf-8", "surrogateescape") if it.isprintable() else b""
    )
)
def test_what_is_written_down_is_what_was_sent(line: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("transcript") / "session.smtp"
    path.write_text(client_line(line) + "\n", encoding="utf-8")
    assert load(path).events == [Send(line + b"\r\n")]


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (b"HELO a", "C: HELO a"),
        (b"", "C:"),
        (b"  two ", "C:   two "),
        ("Olá".encode(), "C: Olá"),
        (b"a\x08b", r"C| a\x08b\r\n"),
        (b"\xff{ab*3}\\", r"C| \xff\x7bab*3}\x5c\r\n"),
        (b"(leaves)", r"C| (leaves)\r\n"),
    ],
)
def test_lines_are_text_where_they_can_be(line: bytes, written: str) -> None:
    assert client_line(line) == written


def test_a_delivery_id_is_another_one_each_time() -> None:
    lines = server_lines(ServerReply(250, ("2.0.0 Message delivered, id 9f3a-1.2",)))
    assert lines == ["# delivery 9f3a-1.2", "S: 250 2.0.0 Message delivered, id ..."]


def test_what_is_not_text_takes_the_dots_beside_it_along() -> None:
    assert server_lines(ServerReply(250, ("a.\x1f..\x1b.b ...",))) == ["S: 250 a...b ..."]


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_a_reply_as_written_down_is_the_reply(texts: list[str]) -> None:
    reply = ServerReply(250, tuple(texts))
    written = [line.removeprefix("S: ") for line in server_lines(reply) if line.startswith("S: ")]
    said = str(reply).split("\n")
    # What is not text is `...`, which is any text but a line end.
    said = [line.translate({13: " ", 0x85: " ", 0x2028: " ", 0x2029: " "}) for line in said]
    assert [mismatch(*pair) for pair in zip(written, said, strict=True)] == [None] * len(said)
    assert all(line.isprintable() for line in written)


def test_the_file_is_made_anew_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "session.smtp"
    path.write_text("before")
    path.chmod(0o644)
    transcript = TranscriptWriter(path, "127.0.0.1:1")
    transcript.heard(ServerReply(220, ("hi",)))
    transcript.said(b"NOOP", Expects.COMMAND)
    transcript.left()
    transcript.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, *lines = path.read_text().splitlines()
    assert first.startswith("# A session with 127.0.0.1:1, ")
    assert lines == ["S: 220 hi", "C: NOOP", "C: (leaves)"]
    assert load(path).events[0] == Expect("220 hi")


def test_secrets_are_not_written_down(tmp_path: Path) -> None:
    transcript = TranscriptWriter(tmp_path / "session.smtp", "")
    transcript.said(b"auth PLAIN c2VjcmV0", Expects.COMMAND)
    transcript.said(b"c2VjcmV0", Expects.RESPONSE)
    transcript.said(b"AUTH is a word of the message", Expects.MESSAGE)
    transcript.close()
    text = (tmp_path / "session.smtp").read_text()
    assert "c2VjcmV0" not in text
    assert "C: AUTH is a word of the message" in text


def test_a_file_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="No such file or directory"):
        TranscriptWriter(tmp_path / "none" / "session.smtp", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_disk_that_becomes_full_ends_the_record_alone() -> None:
    transcript = TranscriptWriter.__new__(TranscriptWriter)
    transcript.trouble = ""
    transcript._file = open("/dev/full", "w")  # noqa: SIM115, PTH123
    transcript.said(b"NOOP", Expects.COMMAND)
    assert transcript.trouble == "No space left on device"
    transcript.said(b"NOOP", Expects.COMMAND)
    transcript.close()
