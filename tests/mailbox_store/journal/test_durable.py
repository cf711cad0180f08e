"""What is synced: files, folders, what is missing, what is neither; and what an earlier sync may have failed for."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from mailbox_store.journal.durable import Names, make_folder, rewrite, sync_path
from tests.mailbox_store.page_cache import PageCache, put_back


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_at_the_path_is_synced_and_closed(folder: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / what
    path.touch() if what == "file" else path.mkdir()
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append((fd, os.fstat(fd).st_ino)), fsync(fd)))
    sync_path(path)
    ((fd, inode),) = synced
    assert inode == path.stat().st_ino
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_what_is_missing_is_an_error_unless_it_may_be(folder: Path) -> None:
    sync_path(folder / "none", missing_ok=True)
    with pytest.raises(FileNotFoundError):
        sync_path(folder / "none")


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(OSError, match="Invalid argument"):
        sync_path(folder / "pipe")


def _fail(code: int) -> None:
    raise OSError(code, os.strerror(code))


def _next_fails(cache: PageCache) -> None:
    left = [True]
    cache.fails = lambda _kind, _name: bool(left) and left.pop()


def test_a_file_whose_sync_has_failed_is_on_disk_once_it_was_written_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3 * 1024 * 1024 + 5)
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    path = folder / "one" / "file"
    cache = PageCache(folder / "one", random.Random(1))
    with cache.watched(monkeypatch):
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, content, 0)
        _next_fails(cache)
        with pytest.raises(OSError, match="Input/output error"):
            os.fsync(fd)
        os.fsync(fd)
        os.close(fd)
        node = cache.state.names["file"]
        assert node is not None
        assert node.disk != content
        rewrite(path)
        Names(folder / "one").sync()
        put_back(cache.state.after_power_cut(random.Random(1)), folder / "two")
    assert (folder / "two" / "file").read_bytes() == content
    assert path.read_bytes() == content
    rewrite(folder / "none")


@pytest.mark.parametrize("call", ["pread", "pwrite", "fsync"])
def test_a_file_that_cannot_be_written_again_is_an_error(
    folder: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "file"
    path.write_bytes(b"text")
    monkeypatch.setattr(os, call, lambda *_: _fail(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        rewrite(path)


@pytest.mark.parametrize("same", [True, False])
def test_names_whose_sync_has_failed_are_on_disk_after_the_next(
    folder: Path, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "one").mkdir()
    cache = PageCache(folder / "one", random.Random(1))
    with cache.watched(monkeypatch):
        names = Names(folder / "one")
        names.sync()
        os.mkdir(folder / "one" / "new")  # noqa: PTH102  # what the model sees
        _next_fails(cache)
        with pytest.raises(OSError, match="Input/output error"):
            names.sync()
        assert "new" not in cache.state.after_power_cut(random.Random(1)).names
        (names if same else Names(folder / "one")).sync()
        assert set(cache.state.after_power_cut(random.Random(1)).names) == {"new"}
    assert [path.name for path in (folder / "one").iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("code", "told"), [(errno.ENOSPC, False), (errno.EACCES, False), (errno.EROFS, False), (errno.EIO, True)]
)
def test_a_folder_without_room_for_a_name_is_synced_as_it_is(
    folder: Path, code: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def no_room(path: str, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT:
            _fail(code)
        return opened(path, flags, *mode)

    synced: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_room)
        patch.setattr(os, "fsync", synced.append)
        if told:
            with pytest.raises(OSError, match="Input/output error"):
                Names(folder).sync()
        else:
            Names(folder).sync()
    assert len(synced) == (not told)


def test_a_folder_that_is_made_is_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "one").mkdir()
    cache = PageCache(folder / "one", random.Random(1))
    with cache.watched(monkeypatch):
        _next_fails(cache)
        with pytest.raises(OSError, match="Input/output error"):
            make_folder(folder / "one" / "new", 0o700)
        make_folder(folder / "one" / "new", 0o700)
        assert "new" in cache.state.after_power_cut(random.Random(1)).names
    (folder / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(folder / "file", 0o700)
