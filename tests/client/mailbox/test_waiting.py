"""Waiting for a mail: at once, in time, in vain; and what comes into a mailbox is given once, whole."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mailbox import files
from client.mailbox.files import MailboxError
from client.mailbox.waiting import Seen, Tail, WantedMail, all_mail, wait_for
from tests.client.boxes import entry, put

ANA = "ana@example.org"


@pytest.mark.parametrize(
    ("wanted", "id"),
    [
        (WantedMail(), "a.1"),
        (WantedMail(subject=re.compile("^Re")), "a.2"),
        (WantedMail(sender="CARLA@example.net"), "a.3"),
        (WantedMail(after="a.1"), "a.2"),
        (WantedMail(after="a.1", subject=re.compile("^Hello")), "a.3"),
        (WantedMail(after="a.3"), None),
        (WantedMail(after="no-such-id"), None),
        (WantedMail(subject=re.compile("never")), None),
        (WantedMail(new=True), None),
    ],
)
def test_the_first_mail_that_is_as_wanted(tmp_path: Path, wanted: WantedMail, id: str | None) -> None:
    put(tmp_path, entry("a.1"), entry("a.2", "Re: Hello"), entry("a.3", sender="carla@example.net"))
    mail = wait_for(tmp_path, ANA, wanted, 0)
    assert (mail and mail.id) == id


@pytest.mark.parametrize("wanted", [WantedMail(new=True), WantedMail(new=True, after="a.1"), WantedMail(after="a.1")])
def test_a_mail_that_comes_later_is_waited_for(tmp_path: Path, wanted: WantedMail) -> None:
    put(tmp_path, entry("a.1"))
    timer = threading.Timer(0.2, put, (tmp_path, entry("a.2")))
    timer.start()
    mail = wait_for(tmp_path, ANA, wanted, 20)
    timer.join()
    assert mail is not None
    assert mail.id == "a.2"


def test_neither_mailbox_nor_folder_need_be_there_yet(tmp_path: Path) -> None:
    def come() -> None:
        (tmp_path / "boxes").mkdir()
        put(tmp_path / "boxes", entry("a.1"))

    timer = threading.Timer(0.2, come)
    timer.start()
    assert wait_for(tmp_path / "boxes", ANA, WantedMail(), 20) is not None
    timer.join()


@pytest.mark.parametrize("mailbox", ["ana@example.org", "*@example.org"])
def test_an_address_without_a_mailbox_of_its_own_has_its_mail_in_a_shared_one(tmp_path: Path, mailbox: str) -> None:
    put(tmp_path, entry("a.1", to="ana+other@example.org"), entry("a.2", to="ana@example.org"), name=mailbox)
    timer = threading.Timer(0.2, put, (tmp_path, entry("a.3", to="ana+shop@example.org")), {"name": mailbox})
    timer.start()
    mail = wait_for(tmp_path, "ana+shop@example.org", WantedMail(), 20)
    timer.join()
    assert mail is not None
    assert (mail.id, mail.number) == ("a.3", 3)


def test_mail_for_an_address_that_no_file_has_the_name_of_may_still_come_into_a_catch_all(tmp_path: Path) -> None:
    address = "a/b@catch.example"
    assert wait_for(tmp_path, address, WantedMail(), 0) is None
    mail = entry("a.1", to=address, mailbox="*@catch.example")
    timer = threading.Timer(0.1, lambda: put(tmp_path, mail, name="*@catch.example"))
    timer.start()
    found = wait_for(tmp_path, address, WantedMail(), 20)
    timer.join()
    assert found is not None


def test_a_mailbox_of_its_own_that_is_made_meanwhile_is_the_one_that_counts(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", to="eva@example.org", mailbox="*@example.org"), name="*@example.org")
    timer = threading.Timer(0.2, put, (tmp_path, entry("a.2")))
    timer.start()
    mail = wait_for(tmp_path, ANA, WantedMail(), 20)
    timer.join()
    assert mail is not None
    assert mail.id == "a.2"


def test_waiting_costs_nothing(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1"))
    before = time.process_time()
    began = time.monotonic()
    assert wait_for(tmp_path, ANA, WantedMail(new=True), 3) is None
    assert time.monotonic() - began >= 3
    # Measured: 3 ms, most of it for the beginning and the end.
    assert time.process_time() - before < 0.1


def test_all_mail_of_no_mailbox_is_none(tmp_path: Path) -> None:
    assert list(all_mail(tmp_path, ANA)) == []


HOSTILE = [
    "=?punycode?q?" + "a" * 500_000 + "-" + "bcd" * 100_000 + "?=",
    "a" * 200_000 + "b",
    "x\n" + "X: y\n" * 300_000,
    "=?utf-8?q?a?=" * 20_000 + "b",
]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "zzz"])
def test_the_time_holds_whatever_is_in_the_mailbox_and_the_pattern(tmp_path: Path, pattern: str) -> None:
    put(tmp_path, *(entry(f"a.{number}", subject) for number, subject in enumerate(HOSTILE * 5, 1)))
    began, used = time.monotonic(), time.process_time()
    assert wait_for(tmp_path, ANA, WantedMail(re.compile(pattern)), 1.5) is None
    assert time.monotonic() - began >= 1.5
    assert time.process_time() - used < 2.5


def test_hostile_mail_does_not_hide_the_one_that_is_waited_for(tmp_path: Path) -> None:
    evil = [entry(f"a.{number}", "a" * 20_000 + "b") for number in range(1, 20)]
    put(tmp_path, *evil, entry("b.1", "aaa"))
    seen = Seen()
    mail = wait_for(tmp_path, ANA, WantedMail(re.compile("(a+)+$")), 30, seen)
    assert mail is not None
    assert (mail.id, seen.count, seen.unsearched) == ("b.1", 19, 19)


def test_a_mailbox_that_is_larger_than_the_time_is_given_up_in_time(tmp_path: Path) -> None:
    path = put(tmp_path, entry("a.1"))
    with path.open("ab") as file:
        file.write(b"From x\n")
        file.truncate(64 * 1024**3)  # a hole: no disk has it, and reading it takes a minute
    began = time.monotonic()
    assert wait_for(tmp_path, ANA, WantedMail(after="a.1"), 0.5) is None
    assert time.monotonic() - began < 10


def test_a_lock_that_is_held_does_not_lengthen_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(files, "LOCK_SECONDS", 60.0)
    put(tmp_path, entry("a.1"))
    monkeypatch.setattr(fcntl, "lockf", held)
    began = time.monotonic()
    assert wait_for(tmp_path, ANA, WantedMail(subject=re.compile("never")), 0.5) is None
    assert time.monotonic() - began < 10


def test_a_sender_is_an_address_in_any_of_its_forms(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", 'x\nFrom: "eva"@example.net'), entry("a.2", sender='"Bo"@Example.NET'))
    mail = wait_for(tmp_path, ANA, WantedMail(sender="bo@example.net", after="a.1"), 0)
    assert mail is not None
    assert mail.id == "a.2"


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
