"""What RUN remembers."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from deploy import owner, state
from deploy.errors import DeployError

STACK = state.Remembered(
    mode="processes",
    project="",
    sockets="/tmp/x",
    host="127.0.0.1",
    port=2525,
    stop_seconds=35,
    settings={"PORT": "2525"},
)


def test_what_was_saved_is_found_again(tmp_path: Path) -> None:
    assert state.load(tmp_path) is None
    state.save(tmp_path, STACK, owner.caller())
    assert state.load(tmp_path) == STACK
    state.forget(tmp_path)
    assert state.load(tmp_path) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"mode": "docker"}', b'{"mode": "\xe1"}'])
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "stack.json").write_bytes(text)
    with pytest.raises(DeployError, match=r"stack\.json in it is not readable"):
        state.load(tmp_path)


def test_differences_name_what_was_and_what_is_asked() -> None:
    told = state.differences({"A": "1", "B": "2", "C": "3"}, {"A": "1", "B": "4", "D": "5"})
    assert told == ["B is 2, not 4", "C is 3, not unset", "D is unset, not 5"]


def test_a_folder_that_has_no_room_for_a_lock_is_named() -> None:
    with (
        pytest.raises(DeployError, match=r"^RUN=/proc: cannot make stack\.lock in it: No such file or directory$"),
        state.exclusive(Path("/proc"), owner.caller()),
    ):
        pass


def test_nobody_else_can_open_the_lock_not_even_that_of_an_older_release(tmp_path: Path) -> None:
    lock = tmp_path / "stack.lock"
    for before in (None, 0o644):
        if before:
            lock.chmod(before)
        with state.exclusive(tmp_path, owner.caller()):
            assert stat.S_IMODE(lock.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_keeps_nobody_from_the_stack(folder: Path) -> None:
    """Whoever can open a file can lock it, for reading alone: flock(2)."""
    folder.chmod(0o755)
    with state.exclusive(folder, owner.caller()):
        pass
    state.save(folder, STACK, owner.caller())
    done = {
        name: subprocess.run(["cat", folder / name], user=65534, capture_output=True, text=True, check=False).stderr
        for name in ("stack.json", "stack.lock")
    }
    assert done["stack.json"] == ""
    assert "Permission denied" in done["stack.lock"]


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "stack.lock").symlink_to(tmp_path / "another")
    with pytest.raises(DeployError, match=r"cannot make stack\.lock"), state.exclusive(tmp_path, owner.caller()):
        pass
    assert not (tmp_path / "another").exists()


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        state.exclusive(tmp_path, owner.caller()),
        pytest.raises(DeployError, match="another make up"),
        state.exclusive(tmp_path, owner.caller()),
    ):
        pass
    with state.exclusive(tmp_path, owner.caller()):
        pass
