"""RUN: what it remembers, the signs of services, sockets in short private folders, Prometheus' targets."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from deploy import owner, run_folder
from deploy.owner import Owner, caller
from deploy.run_folder import Target, targets_of_processes
from deploy.telling import DeployError
from runtime.vitals import Vitals

ME = Owner(os.geteuid(), os.getegid())


STACK = run_folder.Remembered(
    mode="processes",
    project="",
    sockets="/tmp/x",
    host="127.0.0.1",
    port=2525,
    stop_seconds=35,
    settings={"PORT": "2525"},
)


def test_what_was_saved_is_found_again(tmp_path: Path) -> None:
    assert run_folder.load(tmp_path) is None
    run_folder.save(tmp_path, STACK, owner.caller())
    assert run_folder.load(tmp_path) == STACK
    run_folder.forget(tmp_path)
    assert run_folder.load(tmp_path) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"mode": "docker"}', b'{"mode": "\xe1"}'])
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "stack.json").write_bytes(text)
    with pytest.raises(DeployError, match=r"stack\.json in it is not readable"):
        run_folder.load(tmp_path)


def test_differences_name_what_was_and_what_is_asked() -> None:
    told = run_folder.differences({"A": "1", "B": "2", "C": "3"}, {"A": "1", "B": "4", "D": "5"})
    assert told == ["B is 2, not 4", "C is 3, not unset", "D is unset, not 5"]


def test_a_folder_that_has_no_room_for_a_lock_is_named() -> None:
    with (
        pytest.raises(DeployError, match=r"^RUN=/proc: cannot make stack\.lock in it: No such file or directory$"),
        run_folder.exclusive(Path("/proc"), owner.caller()),
    ):
        pass


def test_nobody_else_can_open_the_lock_not_even_that_of_an_older_release(tmp_path: Path) -> None:
    lock = tmp_path / "stack.lock"
    for before in (None, 0o644):
        if before:
            lock.chmod(before)
        with run_folder.exclusive(tmp_path, owner.caller()):
            assert stat.S_IMODE(lock.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_keeps_nobody_from_the_stack(folder: Path) -> None:
    """Whoever can open a file can lock it, for reading alone: flock(2)."""
    folder.chmod(0o755)
    with run_folder.exclusive(folder, owner.caller()):
        pass
    run_folder.save(folder, STACK, owner.caller())
    done = {
        name: subprocess.run(["cat", folder / name], user=65534, capture_output=True, text=True, check=False).stderr
        for name in ("stack.json", "stack.lock")
    }
    assert done["stack.json"] == ""
    assert "Permission denied" in done["stack.lock"]


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "stack.lock").symlink_to(tmp_path / "another")
    with pytest.raises(DeployError, match=r"cannot make stack\.lock"), run_folder.exclusive(tmp_path, owner.caller()):
        pass
    assert not (tmp_path / "another").exists()


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        run_folder.exclusive(tmp_path, owner.caller()),
        pytest.raises(DeployError, match="another make up"),
        run_folder.exclusive(tmp_path, owner.caller()),
    ):
        pass
    with run_folder.exclusive(tmp_path, owner.caller()):
        pass


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "ready").iterdir())


def test_the_folder_is_private_to_its_owner(tmp_path: Path) -> None:
    run_folder.make_ready_folder(tmp_path, ME, ME)
    run_folder.make_ready_folder(tmp_path, ME, ME)
    assert stat.S_IMODE((tmp_path / "ready").stat().st_mode) == 0o700


def test_root_s_store_and_the_others_which_are_nobody_both_write_to_it(tmp_path: Path) -> None:
    run_folder.make_ready_folder(tmp_path, Owner(0, 0), Owner(10001, 10001))
    seen = (tmp_path / "ready").stat()
    # Only root can give folders away, and only root has to.
    owner = (0, 10001) if os.geteuid() == 0 else (ME.uid, ME.gid)
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (*owner, 0o770)


def test_files_of_containers_that_are_gone_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    run_folder.make_ready_folder(tmp_path, ME, ME)
    for name in ("gateway-aaa", "session_worker-bbb", ".session_worker-bbb.new", "session_worker-ccc", "gateway"):
        (tmp_path / "ready" / name).touch()
    run_folder.forget_signs(tmp_path, ["aaa", "bbb"])
    assert names(tmp_path) == [".session_worker-bbb.new", "gateway-aaa", "session_worker-bbb"]


def test_where_nothing_runs_none_is_left(tmp_path: Path) -> None:
    run_folder.forget_signs(tmp_path)
    run_folder.make_ready_folder(tmp_path, ME, ME)
    for name in ("gateway-aaa", "session_worker_1", ".x.new"):
        (tmp_path / "ready" / name).touch()
    run_folder.forget_signs(tmp_path)
    assert names(tmp_path) == []


def test_why_no_mail_is_taken_is_what_the_store_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder.make_ready_folder(tmp_path, ME, ME)
    assert run_folder.hindrance(tmp_path) is None
    store = Vitals("store", str(tmp_path / "ready" / "mailbox_store-aaa"), notify="")
    store.beat(True, {"users": 1})
    assert run_folder.hindrance(tmp_path) == ""
    store.beat(True, {"users": 1}, hindrance="no room for mail")
    assert run_folder.hindrance(tmp_path) == "no room for mail"
    # What it said a while ago may not hold any more.
    os.utime(tmp_path / "ready" / "mailbox_store-aaa", (0, 0))
    assert run_folder.hindrance(tmp_path) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert run_folder.hindrance(tmp_path) == "no room for mail: the disk of RUN is full"


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_a_sign_that_says_nothing_sensible_is_no_hindrance(tmp_path: Path, text: str) -> None:
    run_folder.make_ready_folder(tmp_path, ME, ME)
    (tmp_path / "ready" / "mailbox_store").write_text(text, errors="surrogateescape")
    assert run_folder.hindrance(tmp_path) is None


def test_a_disk_that_does_not_tell_its_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder.make_ready_folder(tmp_path, ME, ME)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.close(-1))
    assert run_folder.hindrance(tmp_path) == "the room for mail cannot be seen: Bad file descriptor"


def test_sockets_lie_in_the_run_folder(folder: Path) -> None:
    made = run_folder.make_sockets(folder)
    assert made == folder / "sockets"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_folder_that_others_can_enter_is_closed_to_them(folder: Path) -> None:
    (folder / "sockets").mkdir()
    (folder / "sockets").chmod(0o755)
    assert stat.S_IMODE(run_folder.make_sockets(folder).stat().st_mode) == 0o700


def test_where_the_path_is_too_long_a_short_private_folder_serves(folder: Path) -> None:
    deep = folder / ("d" * 90)
    deep.mkdir()
    made = run_folder.make_sockets(deep)
    try:
        assert len(str(made / "supervisor.sock.1234567")) <= 107
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    finally:
        run_folder.remove_sockets(made)
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
    for make in (run_folder.make_sockets, lambda run: run_folder.make_mounted_sockets(run, ME, ME)):
        made = make(deep)
        try:
            assert len(str(made / "supervisor.sock.1234567")) <= 107
        finally:
            run_folder.remove_mounted_sockets(deep, str(made))
            run_folder.remove_sockets(made)
        assert not made.exists()
    assert list(long_tmpdir.iterdir()) == []


def test_a_folder_for_containers_lies_in_run_and_is_private(folder: Path) -> None:
    made = run_folder.make_mounted_sockets(folder, ME, ME)
    assert made == folder / "sockets"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    run_folder.remove_mounted_sockets(folder, str(made))
    assert not made.exists()


def test_where_its_path_is_too_long_a_short_private_link_leads_to_it(folder: Path) -> None:
    deep = folder / ("d" * 90)
    deep.mkdir()
    made = run_folder.make_mounted_sockets(deep, ME, ME)
    (deep / "sockets" / "feed").touch()
    assert (made / "feed").exists()
    assert len(str(made / "feed")) <= 107
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    run_folder.remove_mounted_sockets(deep, str(made))
    assert not made.parent.exists()
    assert not (deep / "sockets").exists()


def test_what_a_stack_of_before_did_not_have_is_not_removed(folder: Path) -> None:
    run_folder.remove_mounted_sockets(folder, "")
    assert folder.exists()


def test_each_process_has_a_port_of_its_own_counted_from_the_first() -> None:
    assert [(target.port, target.service, target.instance) for target in targets_of_processes(9120, 2)] == [
        (9120, "gateway", "gateway"),
        (9121, "mailbox_store", "mailbox_store"),
        (9122, "session_worker", "session_worker_1"),
        (9123, "session_worker", "session_worker_2"),
    ]
    assert targets_of_processes(0, 2) == []


def test_the_file_is_a_list_of_groups_that_anybody_may_read(folder: Path) -> None:
    run_folder.save_targets(folder, [Target("127.0.0.1", 9120, "gateway", "gateway")], caller())
    path = folder / run_folder.TARGETS
    assert json.loads(path.read_text()) == [
        {"targets": ["127.0.0.1:9120"], "labels": {"service": "gateway", "instance": "gateway"}}
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(folder.iterdir()) == [path]


def test_without_targets_there_is_no_file(folder: Path) -> None:
    run_folder.save_targets(folder, targets_of_processes(9120, 1), caller())
    run_folder.save_targets(folder, [], caller())
    run_folder.forget_targets(folder)
    assert list(folder.iterdir()) == []
