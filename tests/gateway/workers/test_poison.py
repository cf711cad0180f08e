"""The poison cabinet: what killed three workers can be run again from its file, and files stay few and private."""

from __future__ import annotations

import base64
import json
import logging
import os
from pathlib import Path

import pytest

from gateway.workers.poison import MAX_FILES, PoisonCabinet
from wire.codec import decode
from wire.messages import Body, Lines, Step

STEP = Step("9f3ac2d17b04-12", 3, 1_700_000_000_000, b"state", Body(b"secret\x00\xff", 0, last=True))


def test_a_kept_step_can_be_decoded_again(tmp_path: Path) -> None:
    PoisonCabinet(tmp_path / "poison").keep(STEP)
    (path,) = (tmp_path / "poison").iterdir()
    record = json.loads(path.read_text())
    assert decode([base64.b64decode(frame) for frame in record["frames"]]).messages == [STEP]
    assert (record["session"], record["seq"], record["input"]) == (STEP.session, 3, "Body")


def test_a_kept_step_is_for_its_owner_alone_and_its_content_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PoisonCabinet(tmp_path / "poison").keep(STEP)
    (path,) = (tmp_path / "poison").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert str(path) in caplog.text
    assert "secret" not in caplog.text


def test_the_oldest_files_make_room_and_others_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    cabinet = PoisonCabinet(tmp_path)
    for number in range(MAX_FILES + 5):
        cabinet.keep(Step(f"s-{number}", 0, 0, b"", Lines((b"x",))))
        os.utime(tmp_path / f"s-{number}-0.poison.json", ns=(number, number))
    names = {path.name for path in tmp_path.glob("*.poison.json")}
    assert names == {f"s-{number}-0.poison.json" for number in range(5, MAX_FILES + 5)}
    assert (tmp_path / "notes.txt").exists()


def test_without_a_folder_a_step_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    PoisonCabinet(None).keep(STEP)
    assert caplog.messages == [
        "step 3 of session 9f3ac2d17b04-12 (Body) was lost too often, it may be what kills workers; it is given up"
    ]


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    PoisonCabinet(tmp_path / "file" / "poison").keep(STEP)
    assert "could not be kept" in caplog.text
    assert all(record.levelno == logging.ERROR for record in caplog.records)
