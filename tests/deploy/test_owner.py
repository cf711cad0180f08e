"""Files belong to the person who typed the command."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.owner import Owner, caller, make_folder, name_of, open_lock, refuse_open_to_all
from deploy.telling import DeployError
from tests.deploy.deploying import environment

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")


def test_without_sudo_the_caller_is_who_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert caller() == Owner(os.geteuid(), os.getegid())


@as_root
def test_with_sudo_the_caller_is_who_typed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "54321")
    assert caller() == Owner(12345, 54321)


BECOME = """
import os, sys
from deploy.owner import Owner, become
become(Owner(12345, 54321))
open(sys.argv[1], "w").close()
try:
    os.setuid(0)
except PermissionError:
    sys.exit(0)
sys.exit("root again")
"""


@as_root
def test_who_becomes_the_owner_cannot_go_back(folder: Path) -> None:
    folder.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", BECOME, str(folder / "file")], env=environment(), check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert ((folder / "file").stat().st_uid, (folder / "file").stat().st_gid) == (12345, 54321)


def test_a_path_is_somebody_s(tmp_path: Path) -> None:
    assert name_of(tmp_path) == pwd.getpwuid(os.geteuid()).pw_name
    assert name_of(tmp_path / "none") == "someone else"


@as_root
def test_whom_this_machine_has_no_name_for_is_told_by_number(tmp_path: Path) -> None:
    os.chown(tmp_path, 54321, -1)
    assert name_of(tmp_path) == "user 54321"


def test_a_new_folder_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o777)
    try:
        make_folder(tmp_path / "new", caller(), mode=0o700)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_an_old_folder_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o750)
    make_folder(tmp_path / "old", caller(), mode=0o700)
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o750


def test_a_folder_whose_parent_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"MAILBOXES=.*there is no folder"):
        make_folder(tmp_path / "a" / "b", caller(), "MAILBOXES")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_everybody_can_write_to_is_refused(tmp_path: Path) -> None:
    refuse_open_to_all(tmp_path, "RUN")
    tmp_path.chmod(0o1777)
    with pytest.raises(DeployError, match=rf"^RUN={tmp_path}: everybody can write to it; .*: chmod o-w {tmp_path}$"):
        refuse_open_to_all(tmp_path, "RUN")


@as_root
def test_a_lock_belongs_to_its_owner_whoever_makes_it(tmp_path: Path) -> None:
    os.close(open_lock(tmp_path / "lock", Owner(12345, 54321)))
    seen = (tmp_path / "lock").stat()
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (12345, 54321, 0o600)


def test_a_new_folder_is_on_disk_and_one_that_cannot_be_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    make_folder(tmp_path / "new", caller())
    assert synced == [tmp_path.stat().st_ino]
    monkeypatch.setattr(os, "fsync", lambda _fd: os.close(-1))
    with pytest.raises(DeployError, match="cannot make this folder: Bad file descriptor"):
        make_folder(tmp_path / "another", caller())
