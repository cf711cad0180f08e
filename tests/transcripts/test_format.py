"""The format of transcripts, and that the matchers do tell a difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transcripts.transcript import (
    Closes,
    Expect,
    Leaves,
    Send,
    Stack,
    Store,
    all_transcripts,
    load,
    mailbox_mismatch,
    mismatch,
    unescape,
)


def _load(folder: Path, text: str) -> list[object]:
    path = folder / "session.smtp"
    path.write_text(text)
    return list(load(path).events)


def test_a_transcript_is_a_list_of_events(folder: Path) -> None:
    text = "# c\n\nS: 220 ...\nC: A\nC: B\nC| c\\n\n! store silent\nS: (closes)\nC: (leaves)\n! stack stop-workers\n"
    assert _load(folder, text) == [
        Expect("220 ..."),
        Send(bytearray(b"A\r\nB\r\nc\n")),
        Store("silent"),
        Closes(),
        Leaves(),
        Stack("stop-workers"),
    ]


def test_settings_users_and_line_ends_come_first(folder: Path) -> None:
    path = folder / "session.smtp"
    path.write_text("! LF\n! PROFILE=strict\n! USERS=a@b u{1..2}@b\n! memory only\nC: A\n")
    transcript = load(path)
    assert (transcript.settings, transcript.users) == ({"PROFILE": "strict"}, ("a@b", "u1@b", "u2@b"))
    assert (transcript.input, transcript.memory_only, transcript.stack_only) == (b"A\n", True, False)


def test_repeated_lines_are_numbered_in_mailboxes_too(folder: Path) -> None:
    (folder / "session.a@b.mbox").write_bytes(b"repeat 1..2\n\xff{n}\nend\n\n")
    assert _load(folder, "repeat 2..3\nC: N{n}\nend\n") == [Send(bytearray(b"N2\r\nN3\r\n"))]
    assert load(folder / "session.smtp").mailboxes == {"a@b": b"\xff1\n\xff2\n\n"}


@pytest.mark.parametrize("text", ["X: what", "repeat 1..2\nC: A", "C: A\n! LF", "! what", "! stack fire", "end"])
def test_a_line_that_is_not_of_the_format_is_named(folder: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"session\.smtp:\d+: "):
        _load(folder, text)


def test_octets_are_escaped_and_repeated() -> None:
    assert unescape(r"\x00\xFF\r\n\t\\ {ab\n*2}é") == b"\x00\xff\r\n\t\\ ab\nab\n" + "é".encode()


def test_a_reply_must_have_the_codes_and_the_text_around_the_dots() -> None:
    assert mismatch("250 2.1.0 ...ok...", "250 2.1.0 it is ok now") is None
    assert mismatch("250 2.1.0 ...", "250 2.1.5 ok") is not None
    assert mismatch("250 2.1.0 ...", "250-2.1.0 ok") is not None
    assert mismatch("250 2.1.0 ok", "250 2.1.0 ok now") is not None


def test_a_mailbox_must_be_the_same_but_for_the_placeholders() -> None:
    expected = b"{asctime} {date} {id} [{peer}]\nx{y}\n"
    actual = b"Mon Nov  3 07:05:55 2026 Mon, 23 Nov 2026 07:05:55 +0000 9f3a-1.2 [127.0.0.1]\nx{y}\n"
    assert mailbox_mismatch(expected, actual) is None
    assert mailbox_mismatch(expected, actual.replace(b"x{", b"z{")) is not None
    assert mailbox_mismatch(expected, actual + b"\n") is not None
    assert mailbox_mismatch(expected, actual[:-5]) is not None


def test_every_transcript_can_be_read_and_every_mailbox_belongs_to_one() -> None:
    transcripts = [load(path) for path in all_transcripts()]
    folder = all_transcripts()[0].parent
    assert sum(len(transcript.mailboxes) for transcript in transcripts) == len(list(folder.glob("*.mbox")))
    assert all(transcript.events for transcript in transcripts)
