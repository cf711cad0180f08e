"""The ready file: there and fresh while the service is ready, gone when it is not."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.ready import ReadyFile


def test_a_beat_makes_the_file_young(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    ready = ReadyFile(str(path))
    ready.beat(True)
    os.utime(path, (0, 0))
    ready.beat(True)
    assert path.stat().st_mtime > 1_000_000


def test_a_service_that_is_not_ready_has_no_file(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    ready = ReadyFile(str(path))
    ready.beat(True)
    ready.beat(False)
    ready.beat(False)
    assert not path.exists()


def test_without_a_path_nothing_is_written(tmp_path: Path) -> None:
    before = list(tmp_path.iterdir())
    ReadyFile("").beat(True)
    assert list(tmp_path.iterdir()) == before
