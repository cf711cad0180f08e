"""The folder of the services' signs of life, and the end of those whose service is gone."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from deploy import signs
from deploy.owner import Owner
from runtime.vitals import Vitals

ME = Owner(os.geteuid(), os.getegid())


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "ready").iterdir())


def test_the_folder_is_private_to_its_owner(tmp_path: Path) -> None:
    signs.make_folder(tmp_path, ME, ME)
    signs.make_folder(tmp_path, ME, ME)
    assert stat.S_IMODE((tmp_path / "ready").stat().st_mode) == 0o700


def test_root_s_store_and_the_others_which_are_nobody_both_write_to_it(tmp_path: Path) -> None:
    signs.make_folder(tmp_path, Owner(0, 0), Owner(10001, 10001))
    seen = (tmp_path / "ready").stat()
    # Only root can give folders away, and only root has to.
    owner = (0, 10001) if os.geteuid() == 0 else (ME.uid, ME.gid)
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (*owner, 0o770)


def test_files_of_containers_that_are_gone_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    signs.make_folder(tmp_path, ME, ME)
    for name in ("gateway-aaa", "session_worker-bbb", ".session_worker-bbb.new", "session_worker-ccc", "gateway"):
        (tmp_path / "ready" / name).touch()
    signs.forget_others(tmp_path, ["aaa", "bbb"])
    assert names(tmp_path) == [".session_worker-bbb.new", "gateway-aaa", "session_worker-bbb"]


def test_where_nothing_runs_none_is_left(tmp_path: Path) -> None:
    signs.forget_all(tmp_path)
    signs.make_folder(tmp_path, ME, ME)
    for name in ("gateway-aaa", "session_worker_1", ".x.new"):
        (tmp_path / "ready" / name).touch()
    signs.forget_all(tmp_path)
    assert names(tmp_path) == []


def test_why_no_mail_is_taken_is_what_the_store_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signs.make_folder(tmp_path, ME, ME)
    assert signs.why_no_mail(tmp_path) is None
    store = Vitals("store", str(tmp_path / "ready" / "mailbox_store-aaa"), notify="")
    store.beat(True, {"users": 1})
    assert signs.why_no_mail(tmp_path) == ""
    store.beat(True, {"users": 1}, hindrance="no room for mail")
    assert signs.why_no_mail(tmp_path) == "no room for mail"
    # What it said a while ago may not hold any more.
    os.utime(tmp_path / "ready" / "mailbox_store-aaa", (0, 0))
    assert signs.why_no_mail(tmp_path) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert signs.why_no_mail(tmp_path) == "no room for mail: the disk of RUN is full"


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_a_sign_that_says_nothing_sensible_is_no_hindrance(tmp_path: Path, text: str) -> None:
    signs.make_folder(tmp_path, ME, ME)
    (tmp_path / "ready" / "mailbox_store").write_text(text, errors="surrogateescape")
    assert signs.why_no_mail(tmp_path) is None


def test_a_disk_that_does_not_tell_its_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signs.make_folder(tmp_path, ME, ME)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.close(-1))
    assert signs.why_no_mail(tmp_path) == "the room for mail cannot be seen: Bad file descriptor"
