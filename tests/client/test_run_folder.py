"""What RUN/stack.json tells, and what to do where it tells nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.run_folder import NoStack, RunFolder, Stack, read_stack, run_folder
from deploy import owner
from deploy import run_folder as written

SETTINGS = {"WORKERS": "3", "MAILBOXES": "/srv/mail", "USERS": "/srv/users.txt"}


def test_it_reads_what_make_up_writes(tmp_path: Path) -> None:
    remembered = written.Remembered("processes", "", "/tmp/x", "127.0.0.1", 2525, 35, SETTINGS)
    written.save(tmp_path, remembered, owner.caller())
    assert read_stack(tmp_path) == Stack(
        "processes", Path("/tmp/x"), 3, "127.0.0.1", 2525, Path("/srv/mail"), Path("/srv/users.txt")
    )


@pytest.mark.parametrize(
    "told", [{}, {"sockets": "", "settings": {"WORKERS": "many"}}, {"sockets": 1, "settings": 2}]
)
def test_what_is_missing_is_not_there(tmp_path: Path, told: dict[str, object]) -> None:
    (tmp_path / "stack.json").write_text(json.dumps(told))
    assert read_stack(tmp_path) == Stack("", None, 0)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "cannot be read"), ("[]", "not what make up writes"), ("", "cannot")]
)
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(NoStack, match=said):
        read_stack(tmp_path)


def test_where_the_stack_there_takes_mail_is_known_to_who_tries_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN", str(tmp_path))
    assert run_folder() == RunFolder(tmp_path, named=True)
    assert run_folder().port == 0
    remembered = written.Remembered("processes", "", "/tmp/x", "127.0.0.1", 2525, 35, {})
    written.save(tmp_path, remembered, owner.caller())
    assert run_folder().port == 2525


def test_no_stack_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NoStack, match="Start one with: make up, or correio serve") as caught:
        read_stack(tmp_path / "run")
    assert caught.value.exit_code == 3
