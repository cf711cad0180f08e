"""The users file while it is edited."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailbox_store.config import ConfigError
from mailbox_store.mailboxes.files import DiskFiles
from mailbox_store.users.users_file import UsersFile


@pytest.fixture
def path(folder: Path) -> Path:
    file = folder / "users.txt"
    file.write_text("ana@b.example\n")
    (folder / "mail").mkdir()
    return file


@pytest.fixture
def users(path: Path) -> Iterator[UsersFile]:
    file = UsersFile(path, DiskFiles(path.parent / "mail"), "home.example", "")
    yield file
    file.close()


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def _settle(users: UsersFile) -> None:
    """One look sees a change, the next that it stands still."""
    users.refresh()
    users.refresh()


def test_each_user_has_a_mailbox_file_from_the_start(users: UsersFile, path: Path) -> None:
    assert [file.name for file in (path.parent / "mail").iterdir()] == ["ana@b.example.txt"]
    assert users.knows("ana@b.example")
    assert not users.knows("bob@b.example")


def test_a_change_is_taken_over_within_a_second(users: UsersFile, path: Path) -> None:
    users.watch()
    _replace(path, "bob@b.example\n")
    deadline = time.monotonic() + 5
    began = time.monotonic()
    while "bob@b.example" not in users.current.names:
        assert time.monotonic() < deadline
        os.sched_yield()
    assert time.monotonic() - began < 1.5
    assert (path.parent / "mail" / "bob@b.example.txt").exists()


def test_a_removed_user_is_still_known_for_deliveries_under_way(users: UsersFile, path: Path) -> None:
    _replace(path, "bob@b.example\n")
    _settle(users)
    assert users.current.mailboxes == ("bob@b.example",)
    assert users.knows("ana@b.example")


def test_a_bad_edit_is_told_with_its_line_and_the_old_list_stays(
    users: UsersFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("ana@b.example\nbruno\n")
    _settle(users)
    _settle(users)
    assert users.current.mailboxes == ("ana@b.example",)
    assert caplog.text.count(f"{path}:2: bruno: ") == 1
    path.write_text("ana@b.example\nbruno@b.example\n")
    _settle(users)
    assert len(users.current.mailboxes) == 2


def test_a_removed_file_is_told_once_and_may_come_back(
    users: UsersFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    users.refresh()
    users.refresh()
    assert users.current.mailboxes == ("ana@b.example",)
    assert caplog.text.count("the list as it was stays") == 1
    path.write_text("eva@b.example\n")
    _settle(users)
    assert users.current.mailboxes == ("eva@b.example",)


def test_a_file_that_is_being_written_is_not_taken_for_the_new_list(users: UsersFile, path: Path) -> None:
    with path.open("w") as file:
        for part in ("ana@b.example\nbo", "b@b.exam", "ple\neva@b.example\n"):
            file.write(part)
            file.flush()
            users.refresh()
            assert users.current.mailboxes == ("ana@b.example",)
    users.refresh()
    assert users.current.mailboxes == ("ana@b.example", "bob@b.example", "eva@b.example")
    assert sorted(file.stem for file in (path.parent / "mail").iterdir()) == sorted(users.current.mailboxes)


def test_a_file_that_is_replaced_again_and_again_is_taken_over_all_the_while(users: UsersFile, path: Path) -> None:
    for number in range(5):
        _replace(path, f"user{number}@b.example\n# edit {number}\n")
        users.refresh()
        # The look before found the file before this one, which is whole: nobody has written to it since.
        assert users.current.mailboxes == ((f"user{number - 1}@b.example",) if number else ("ana@b.example",))
    _settle(users)
    assert users.current.mailboxes == ("user4@b.example",)


def test_users_that_are_added_to_a_file_that_never_rests_are_taken_in(users: UsersFile, path: Path) -> None:
    with path.open("a") as file:
        for number in range(9):
            file.write(f"user{number}@b.example\n")
            file.flush()
            users.refresh()
            if number >= 3:
                assert f"user{number - 3}@b.example" in users.current.names
    assert "ana@b.example" in users.current.names


def test_nobody_is_dropped_and_no_half_of_a_line_is_taken_in_while_a_file_is_written_anew(
    users: UsersFile, path: Path
) -> None:
    _replace(path, "ana@b.example\nbob@b.example\neva@b.example\n")
    _settle(users)
    before = users.current.names
    with path.open("w") as file:
        for number in range(20):
            # Each look finds a line that ends somewhere else, and parses.
            file.write(f"new{number}@b.ex" if number % 2 == 0 else "ample\n")
            file.flush()
            users.refresh()
            assert before <= users.current.names
            assert all(name.endswith("@b.example") for name in users.current.names)
    _settle(users)
    assert "bob@b.example" not in users.current.names


def test_what_breaks_a_rule_in_a_file_that_never_rests_is_told_when_it_does(
    users: UsersFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with path.open("a") as file:
        for number in range(5):
            file.write(f"bruno\nuser{number}@b.example\n")
            file.flush()
            users.refresh()
    assert users.current.mailboxes == ("ana@b.example",)
    assert not caplog.text
    _settle(users)
    assert caplog.text.count(f"{path}:2: bruno: ") == 1


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_told_and_leaves_nothing_open(
    users: UsersFile, path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(4):
        users.refresh()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
    assert caplog.text.count("Not a regular file; the list as it was stays") == 1
    assert users.current.mailboxes == ("ana@b.example",)


def test_what_fails_for_a_while_is_told_once_and_tried_again(
    users: UsersFile, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "mail")

    _replace(path, "bob@b.example\n")
    with monkeypatch.context() as patch:
        patch.setattr(DiskFiles, "create", full)
        for _ in range(6):
            users.refresh()
    assert users.current.mailboxes == ("ana@b.example",)
    assert caplog.text.count("No space left on device; the list as it was stays") == 1
    _settle(users)
    assert users.current.mailboxes == ("bob@b.example",)


def test_the_start_does_not_wait_for_very_many_new_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "mail")

    path = folder / "users.txt"
    path.write_text("".join(f"user{number}@b.example\n" for number in range(7_000)))
    (folder / "mail").mkdir()
    users = UsersFile(path, DiskFiles(folder / "mail"), "home.example", "")
    assert len(list((folder / "mail").iterdir())) == 5_000
    with monkeypatch.context() as patch:
        patch.setattr(DiskFiles, "create", full)
        users.create_rest()
        users.create_rest()
    assert caplog.text.count("not every mailbox file could be made yet") == 1
    users.create_rest()
    assert len(list((folder / "mail").iterdir())) == 7_000
    users.close()


@pytest.mark.parametrize(("text", "error"), [(None, "No such file"), ("bruno\n", ":1: bruno: "), ("", "no user")])
def test_a_bad_file_stops_the_start(folder: Path, text: str | None, error: str) -> None:
    path = folder / "users.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=error):
        UsersFile(path, DiskFiles(folder), "home.example", "")


def test_a_mailbox_folder_that_is_gone_stops_the_start(path: Path) -> None:
    with pytest.raises(ConfigError, match="MAILBOXES"):
        UsersFile(path, DiskFiles(path.parent / "none"), "home.example", "")
