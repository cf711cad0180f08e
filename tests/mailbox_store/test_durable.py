"""A path that is synced: files, folders, what is missing, and what is neither."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailbox_store.durable import sync_path


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
