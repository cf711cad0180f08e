"""The watch on the folder of mailboxes: what other programs do there is seen at once, what the store does is not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailbox_store import folder_watch
from mailbox_store.folder_watch import FolderWatch
from mailbox_store.mailboxes.files import DiskFiles

BOX, OTHER = "a@b.example", "c@d.example"


@pytest.fixture
def boxes(folder: Path) -> Path:
    boxes = folder / "mailboxes"
    boxes.mkdir()
    DiskFiles(boxes).create([BOX, OTHER])
    (boxes / "folder").mkdir()
    return boxes


@pytest.fixture
def watch(boxes: Path) -> Iterator[FolderWatch]:
    watch = FolderWatch(boxes)
    watch.renew()
    assert watch.watching, "the tests' folder is on no local disk"
    yield watch
    watch.close()


def box(boxes: Path, name: str = BOX) -> Path:
    return boxes / f"{name}.txt"


@pytest.mark.parametrize(
    "change",
    [
        lambda boxes: box(boxes).chmod(0o400),
        lambda boxes: os.utime(box(boxes)),
        lambda boxes: os.chown(box(boxes), os.geteuid(), os.getegid()),
        lambda boxes: box(boxes).unlink(),
        lambda boxes: box(boxes).rename(boxes.parent / "away"),
        lambda boxes: box(boxes).rename(boxes / "elsewhere"),
        lambda boxes: (boxes.parent / "new").rename(box(boxes)),
        lambda boxes: (boxes / "folder").rmdir(),
        lambda boxes: boxes.chmod(0o500),
        lambda boxes: boxes.rename(boxes.with_name("gone")),
    ],
    ids=["chmod", "utime", "chown", "unlink", "away", "within", "over", "rmdir", "folder", "folder moved"],
)
def test_what_could_make_a_mailbox_unwritable_is_a_change(
    boxes: Path, watch: FolderWatch, change: Callable[[Path], object]
) -> None:
    (boxes.parent / "new").write_bytes(b"")
    assert not watch.changed()
    change(boxes)
    assert watch.changed()
    watch.renew()
    assert not watch.changed()


def test_mail_and_readers_are_none(boxes: Path, watch: FolderWatch) -> None:
    files = DiskFiles(boxes)
    # The first sync of a process changes the folder, see `durable.Names`; a store has done that when it watches.
    files.sync_folder()
    assert watch.changed()
    for name in (BOX, OTHER, "new@b.example"):
        with files.open(name) as handle:
            assert handle.lock()
            handle.append(b"text")
            handle.write_at(0, b"T")
            handle.truncate(2)
        files.sync(name)
    files.create(["next@b.example"])
    assert box(boxes).read_bytes() == b"Te"
    assert files.in_folder(BOX)
    assert not watch.changed()


def test_many_changes_are_one(boxes: Path, watch: FolderWatch) -> None:
    # Of equal ones in a row the kernel keeps one; these are more than are read at once, and more than it keeps.
    for number in range(20_000):
        os.utime(box(boxes, OTHER if number % 2 else BOX))
    assert watch.changed()
    assert watch.changed()
    while watch.changed():
        pass
    box(boxes).chmod(0o400)
    assert watch.changed()


def test_a_folder_in_its_place_is_watched_after_renew(boxes: Path, watch: FolderWatch) -> None:
    boxes.rename(boxes.with_name("old"))
    assert watch.changed()
    watch.renew()
    assert not watch.watching
    assert not watch.changed()
    boxes.mkdir()
    watch.renew()
    assert watch.watching
    # That the old one is watched no more is told too.
    while watch.changed():
        pass
    box(boxes.with_name("old")).chmod(0o400)
    assert not watch.changed()
    DiskFiles(boxes).create([BOX])
    box(boxes).chmod(0o400)
    assert watch.changed()


def test_a_folder_that_is_moved_with_one_above_it_is_another(folder: Path) -> None:
    above = folder / "above"
    boxes = above / "mailboxes"
    boxes.mkdir(parents=True)
    watch = FolderWatch(boxes)
    watch.renew()
    assert not watch.changed()
    above.rename(folder / "old")
    assert watch.changed()
    boxes.mkdir(parents=True)
    assert watch.changed()
    watch.renew()
    assert watch.watching
    while watch.changed():
        pass
    box(boxes).touch()
    box(boxes).chmod(0o400)
    assert watch.changed()
    watch.close()


def test_it_is_told_once_whether_the_folder_is_watched(boxes: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = FolderWatch(boxes)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            watch.renew()
        boxes.rename(boxes.with_name("old"))
        for _ in range(3):
            watch.renew()
    watch.close()
    assert [message.split(" ")[0] for message in caplog.messages] == ["=", "!"]
    assert "No such file or directory" in caplog.messages[1]
    assert not watch.watching
    assert not watch.changed()


def test_a_file_system_that_other_hosts_write_to_is_not_watched(
    boxes: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folder_watch, "_LOCAL", frozenset({1}))
    watch = FolderWatch(boxes)
    watch.renew()
    assert not watch.watching
    assert "can be changed from elsewhere" in caplog.text
    box(boxes).chmod(0o400)
    assert not watch.changed()
    watch.close()


def test_without_an_instance_to_be_had_it_tries_again(
    boxes: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = FolderWatch(boxes)
    init = watch._init
    monkeypatch.setattr(watch, "_init", lambda _flags: -1)
    watch.renew()
    assert not watch.watching
    assert "max_user_instances" in caplog.text
    monkeypatch.setattr(watch, "_init", init)
    watch.renew()
    assert watch.watching
    watch.close()


@pytest.mark.parametrize("broken", [OSError("no library"), AttributeError("inotify_init1"), TypeError("no path")])
def test_without_inotify_it_watches_nothing(
    boxes: Path, monkeypatch: pytest.MonkeyPatch, broken: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def load(*_: object, **__: object) -> None:
        raise broken

    monkeypatch.setattr(folder_watch.ctypes, "CDLL", load)
    watch = FolderWatch(boxes)
    watch.renew()
    assert not watch.watching
    assert not watch.changed()
    assert str(broken) in caplog.text
    watch.close()


def test_closing_leaves_no_descriptor(boxes: Path) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = descriptors()
    watch = FolderWatch(boxes)
    watch.renew()
    assert descriptors() == before + 1
    watch.close()
    watch.close()
    assert descriptors() == before
