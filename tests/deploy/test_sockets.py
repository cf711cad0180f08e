"""Sockets have short paths and private folders."""

from __future__ import annotations

import stat
from pathlib import Path

from deploy import sockets


def test_sockets_lie_in_the_run_folder(folder: Path) -> None:
    made = sockets.make_folder(folder)
    assert made == folder / "sockets"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_folder_that_others_can_enter_is_closed_to_them(folder: Path) -> None:
    (folder / "sockets").mkdir()
    (folder / "sockets").chmod(0o755)
    assert stat.S_IMODE(sockets.make_folder(folder).stat().st_mode) == 0o700


def test_where_the_path_is_too_long_a_short_private_folder_serves(folder: Path) -> None:
    deep = folder / ("d" * 90)
    deep.mkdir()
    made = sockets.make_folder(deep)
    try:
        assert len(str(made / "supervisor.sock.1234567")) <= 107
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    finally:
        sockets.remove_folder(made)
    assert not made.exists()
