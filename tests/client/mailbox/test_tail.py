"""A mailbox as it grows: each whole message once, whatever becomes of the file."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mailbox import files
from client.mailbox.files import MailboxError
from client.mailbox.tail import Tail
from tests.client.boxes import entry, put


def ids(tail: Tail) -> list[str]:
    return [mail.id for mail in tail.read()]


def test_each_message_is_given_once_with_its_number(tmp_path: Path) -> None:
    tail = Tail(tmp_path, "Ana@example.org")
    assert ids(tail) == []
    put(tmp_path, entry("a.1"), entry("a.2"))
    assert [(mail.number, mail.id) for mail in tail.read()] == [(1, "a.1"), (2, "a.2")]
    put(tmp_path, entry("a.3"))
    assert [(mail.number, mail.id) for mail in tail.read()] == [(3, "a.3")]
    assert ids(tail) == []


def test_the_half_of_a_message_is_none(tmp_path: Path) -> None:
    whole = entry("a.1", text="one\n\ntwo\n")
    tail = Tail(tmp_path, "ana@example.org")
    for end in (5, 60, len(whole) - 1):
        (tmp_path / "ana@example.org.txt").write_bytes(whole[:end])
        assert ids(tail) == [], whole[:end]
    (tmp_path / "ana@example.org.txt").write_bytes(whole)
    assert ids(tail) == ["a.1"]


# POSIX locks are a process's own, so the writer is another one: it locks, says so, and writes when it is told to.
WRITER = """
import fcntl, sys
with open(sys.argv[1], "ab", buffering=0) as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    file.write(sys.stdin.buffer.read())
"""


def test_a_message_is_whole_when_its_append_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_SECONDS", 30.0)
    whole = entry("a.1", text="one\n\ntwo\n")
    half = whole.index(b"two")
    path = put(tmp_path, whole[:half])
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"locked\n"
        threading.Timer(0.1, lambda: (writer.stdin.write(whole[half:]), writer.stdin.close())).start()
        (mail,) = Tail(tmp_path, "ana@example.org").read()
    assert mail.text == "one\n\ntwo\n"


@pytest.mark.parametrize("how", ["renamed", "truncated", "deleted"])
def test_a_rotated_mailbox_begins_anew(tmp_path: Path, how: str) -> None:
    path = put(tmp_path, entry("a.1"), entry("a.2"))
    tail = Tail(tmp_path, "ana@example.org")
    assert ids(tail) == ["a.1", "a.2"]
    if how == "renamed":
        path.rename(tmp_path / "old")
    elif how == "truncated":
        path.write_bytes(b"")
    else:
        path.unlink()
        assert ids(tail) == []
    put(tmp_path, entry("a.3"))
    assert [(mail.number, mail.id) for mail in tail.read()] == [(1, "a.3")]


def test_what_a_reader_rewrites_is_not_given_again(tmp_path: Path) -> None:
    path = put(tmp_path, entry("a.1"), entry("a.2"))
    tail = Tail(tmp_path, "ana@example.org")
    assert ids(tail) == ["a.1", "a.2"]
    path.write_bytes(entry("a.1", subject="Hello\nStatus: RO\nX-Much: longer than before") + entry("a.2"))
    put(tmp_path, entry("a.3"))
    assert ids(tail) == ["a.3"]


def test_mail_of_a_client_that_calls_itself_id_is_given_too(tmp_path: Path) -> None:
    put(tmp_path, *(entry(id).replace(b"from home", b"from id") for id in ("a.1", "a.2")))
    assert ids(Tail(tmp_path, "ana@example.org")) == ["a.1", "a.2"]


def test_what_is_no_mailbox_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ana@example.org.txt").mkdir()
    with pytest.raises(MailboxError):
        ids(Tail(tmp_path, "ana@example.org"))


@given(st.lists(st.integers(1, 900), max_size=8))
def test_however_it_comes_every_message_is_given_once_and_whole(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    octets = b"".join(entry(f"a.{number}", text=f"text {number}\n") for number in range(1, 4))
    tail, seen = Tail(folder, "ana@example.org"), list[tuple[str, str]]()
    for end in [*sorted(cuts), len(octets)]:
        (folder / "ana@example.org.txt").write_bytes(octets[:end])
        seen += [(mail.id, mail.text) for mail in tail.read()]
    # Cut at an empty line, a half cannot be told from a whole; it is told once all the same.
    assert [each[0] for each in seen] == ["a.1", "a.2", "a.3"]
