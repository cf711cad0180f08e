"""Records: compared by their fields, without room for others, and changed by nobody."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mypy import api

from wire.records import record

ROOT = Path(__file__).parents[2]


@record
class Point:
    x: int
    y: int = 0


def test_records_with_equal_fields_are_equal_and_have_one_hash() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(2, 1)
    assert len({Point(1), Point(1, 0), Point(0, 1)}) == 2


def test_a_record_has_no_room_for_other_fields() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 2  # type: ignore[attr-defined]


def test_the_type_checker_lets_nobody_change_a_record(tmp_path: Path) -> None:
    program = tmp_path / "changes.py"
    program.write_text(
        "from wire.records import record\n@record\nclass Point:\n    x: int\n\npoint = Point(1)\npoint.x = 2\n"
    )
    said, _, status = api.run(["--strict", "--cache-dir", str(tmp_path / "cache"), str(program)])
    assert status == 1
    assert 'Property "x" defined in "Point" is read-only' in said


def test_no_code_goes_behind_the_type_checkers_back() -> None:
    for package in ("wire", "runtime", "gateway", "session_worker", "mailbox_store"):
        for path in (ROOT / package).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id != "setattr", f"{path}:{node.lineno}"
