"""Sleeping until a file changes: in time, for any way of changing it, and without work meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from client.mailbox import file_changes
from client.mailbox.file_changes import Changes


def waited(watch: Changes, change: Callable[[], object]) -> float:
    """Seconds from a change, made by another thread, to the return of `wait`."""
    made: list[float] = []

    def make() -> None:
        made.append(time.monotonic())
        change()

    timer = threading.Timer(0.1, make)
    timer.start()
    while not made:
        watch.wait(10)
    timer.join()
    return time.monotonic() - made[0]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the kernel wakes: a wait without its word would last for minutes."""
    monkeypatch.setattr(file_changes, "_CHECK", 300.0)


@pytest.mark.usefixtures("quiet")
def test_an_append_a_creation_and_a_rename_are_noticed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ana@example.org.txt"
    other = tmp_path / "beside"
    other.write_text("x")
    with Changes(path.parent, [path.name]) as watch:
        watch.wait(0.2)
        for change in (path.touch, lambda: path.write_text("more"), lambda: other.replace(path)):
            assert waited(watch, change) < 5
            # Whatever else the kernel tells of the same change.
            time_out = time.monotonic() + 0.1
            while time.monotonic() < time_out:
                watch.wait(0.1)


def test_a_wait_ends_in_time_when_nothing_happens(tmp_path: Path) -> None:
    with Changes(tmp_path, ["x"]) as watch:
        watch.wait(0)
        began = time.monotonic()
        watch.wait(0.2)
        assert 0.15 < time.monotonic() - began < 5


def test_reading_the_file_and_changes_beside_it_wake_nobody(tmp_path: Path) -> None:
    path = tmp_path / "ana@example.org.txt"
    path.write_text("x")
    with Changes(path.parent, [path.name]) as watch:
        watch.wait(0)
        path.read_text()
        (tmp_path / "other").write_text("y")
        began = time.monotonic()
        watch.wait(0.3)
        assert time.monotonic() - began >= 0.3


def test_a_folder_that_comes_late_or_is_replaced_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "boxes"
    with Changes(folder, ["a"]) as watch:
        watch.wait(0.01)
        folder.mkdir()
        (folder / "a").touch()
        assert waited(watch, (folder / "a").touch) < 5
        folder.rename(tmp_path / "old")
        folder.mkdir()
        watch.wait(1.5)
        watch.wait(0.01)
        assert waited(watch, (folder / "a").touch) < 0.9, "the new folder is watched"


def test_without_a_watch_of_the_kernel_it_looks_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def used_up(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    with Changes(tmp_path, ["a"]) as watch:
        watch._observer.unschedule_all()
        monkeypatch.setattr(watch._observer, "schedule", used_up)
        watch._watched = (0, 0)
        watch.wait(0.2)
        began = time.monotonic()
        watch.wait(10)
        watch.wait(10)
        assert time.monotonic() - began < 5


def test_the_end_of_a_watch_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        with Changes(tmp_path, ["a"]) as watch:
            (tmp_path / "a").touch()
            watch.wait(10)
        watch._observer.join(20)
    assert not watch._observer.is_alive()
    assert caplog.records == []
