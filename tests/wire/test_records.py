"""Records: compared by their fields, without room for others, and changed by nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

from wire.records import Record, replace


class Point(Record):
    x: int
    y: int = 0


def test_records_with_equal_fields_are_equal_and_have_one_hash() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(2, 1)
    assert len({Point(1), Point(1, 0), Point(0, 1)}) == 2


def test_a_record_is_never_changed_and_has_no_room_for_other_fields() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.z = 2  # type: ignore[attr-defined]
    assert point == Point(1)


def test_another_record_can_be_made_of_one() -> None:
    assert replace(Point(1, 2), x=3) == Point(3, 2)
    with pytest.raises(TypeError):
        replace(Point(1, 2), z=3)


def test_the_type_checker_lets_nobody_change_a_record(tmp_path: Path) -> None:
    program = tmp_path / "changes.py"
    program.write_text(
        "from wire.records import Record\nclass Point(Record):\n    x: int\n\npoint = Point(1)\npoint.x = 2\n"
    )
    said, _, status = api.run(["--strict", "--cache-dir", str(tmp_path / "cache"), str(program)])
    assert status == 1
    assert 'Property "x" defined in "Point" is read-only' in said
