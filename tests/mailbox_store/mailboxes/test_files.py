"""The file layer on a real disk."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mailbox_store.mailboxes.files import DiskFiles

BOX = "a@b.example"
# mutt and most others take POSIX locks.
LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def files(folder: Path) -> DiskFiles:
    return DiskFiles(folder)


@pytest.fixture
def box(folder: Path) -> Path:
    return folder / f"{BOX}.txt"


def test_a_mailbox_is_made_for_its_owner_alone(files: DiskFiles, box: Path) -> None:
    with files.open(BOX) as handle:
        assert handle.append(b"abc") == 3
        assert handle.size() == 3
    assert stat.S_IMODE(box.stat().st_mode) == 0o600
    assert box.read_bytes() == b"abc"


def test_writing_at_a_place_does_not_append(files: DiskFiles, box: Path) -> None:
    with files.open(BOX) as handle:
        handle.append(b"abcdef")
        assert handle.write_at(2, b"XY") == 2
        handle.append(b"!")
        assert handle.read(1, 99) == b"bXYef!"
        handle.truncate(3)
    assert box.read_bytes() == b"abX"


def test_a_lock_meets_those_of_other_programs(files: DiskFiles, box: Path) -> None:
    box.write_bytes(b"")
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(box)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == b"held\n"
        with files.open(BOX) as handle:
            assert not handle.lock()
        reader.communicate()
    with files.open(BOX) as handle:
        assert handle.lock()
        # A descriptor of the same file that is closed must not take the lock away.
        files.sync(BOX)
        with files.open(BOX) as other:
            assert not other.lock()
    with files.open(BOX) as handle:
        assert handle.lock()


def test_a_mailbox_without_write_permission_is_refused_for_root_too(files: DiskFiles, box: Path) -> None:
    box.write_bytes(b"")
    box.chmod(0o400)
    with pytest.raises(PermissionError):
        files.open(BOX)


def test_what_is_no_regular_file_is_refused_without_waiting(files: DiskFiles, box: Path) -> None:
    os.mkfifo(box)
    with pytest.raises(OSError, match="Not a regular file") as caught:
        files.open(BOX)
    assert caught.value.errno == errno.EINVAL


def test_a_look_tells_what_opening_would_tell_and_leaves_the_file_alone(files: DiskFiles, box: Path) -> None:
    files.look(BOX, make=False)
    assert not box.exists()
    files.look(BOX, make=True)
    before = box.stat()
    files.look(BOX, make=True)
    assert box.stat() == before
    box.chmod(0o400)
    for make in (True, False):
        with pytest.raises(PermissionError):
            files.look(BOX, make=make)
    box.unlink()
    box.mkdir()
    for make in (True, False):
        with pytest.raises(OSError, match="Not a regular file"):
            files.look(BOX, make=make)


def test_a_symbolic_link_is_followed(files: DiskFiles, box: Path, folder: Path) -> None:
    target = folder / "elsewhere"
    target.write_bytes(b"old")
    box.symlink_to(target)
    with files.open(BOX) as handle:
        handle.append(b" new")
    assert target.read_bytes() == b"old new"


def test_only_missing_mailboxes_are_made(files: DiskFiles, box: Path, folder: Path) -> None:
    box.write_bytes(b"mail")
    assert files.missing([BOX, "c@d"]) == ["c@d"]
    files.create([BOX, "c@d"])
    assert box.read_bytes() == b"mail"
    assert stat.S_IMODE((folder / "c@d.txt").stat().st_mode) == 0o600


def test_a_mailbox_that_is_gone_needs_no_sync(files: DiskFiles, box: Path) -> None:
    files.sync(BOX)
    box.write_bytes(b"")
    files.sync(BOX)
    files.sync_folder()
    assert files.free_space() > 0


def test_a_file_that_was_replaced_or_removed_is_not_the_mailbox_any_more(files: DiskFiles, box: Path) -> None:
    with files.open(BOX) as handle:
        assert handle.stands()
        new = box.with_suffix(".new")
        new.write_bytes(b"")
        new.rename(box)
        assert not handle.stands()
    with files.open(BOX) as handle:
        assert handle.stands()
        box.unlink()
        assert not handle.stands()


def test_no_descriptor_is_left_open(files: DiskFiles, box: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    box.write_bytes(b"")
    with files.open(BOX) as handle:
        handle.lock()
    files.sync(BOX)
    box.chmod(0o400)
    with pytest.raises(PermissionError):
        files.open(BOX)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
