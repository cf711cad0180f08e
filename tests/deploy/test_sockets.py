"""Sockets have short paths and private folders."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from deploy import sockets
from deploy.owner import Owner

ME = Owner(os.geteuid(), os.getegid())


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


@pytest.fixture
def long_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary ones, with a path that no socket can have."""
    long = tmp_path / ("t" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    return long


def test_where_tmpdir_is_too_long_as_well_tmp_serves(folder: Path, long_tmpdir: Path) -> None:
    deep = folder / ("d" * 90)
    deep.mkdir()
    for make in (sockets.make_folder, lambda run: sockets.make_mounted_folder(run, ME, ME)):
        made = make(deep)
        try:
            assert len(str(made / "supervisor.sock.1234567")) <= 107
        finally:
            sockets.remove_mounted_folder(deep, str(made))
            sockets.remove_folder(made)
        assert not made.exists()
    assert list(long_tmpdir.iterdir()) == []


def test_a_folder_for_containers_lies_in_run_and_is_private(folder: Path) -> None:
    made = sockets.make_mounted_folder(folder, ME, ME)
    assert made == folder / "sockets"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    sockets.remove_mounted_folder(folder, str(made))
    assert not made.exists()


def test_where_its_path_is_too_long_a_short_private_link_leads_to_it(folder: Path) -> None:
    deep = folder / ("d" * 90)
    deep.mkdir()
    made = sockets.make_mounted_folder(deep, ME, ME)
    (deep / "sockets" / "feed").touch()
    assert (made / "feed").exists()
    assert len(str(made / "feed")) <= 107
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    sockets.remove_mounted_folder(deep, str(made))
    assert not made.parent.exists()
    assert not (deep / "sockets").exists()


def test_what_a_stack_of_before_did_not_have_is_not_removed(folder: Path) -> None:
    sockets.remove_mounted_folder(folder, "")
    assert folder.exists()
