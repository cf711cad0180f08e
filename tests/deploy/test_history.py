"""The logs of all services as one: every file, in order, and nothing lost that has no time."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deploy.history import last, merged, of_folder


def write(folder: Path, name: str, text: str, mtime: int) -> None:
    (folder / name).write_text(text)
    os.utime(folder / name, (mtime, mtime))


def at(second: int, what: str) -> str:
    return f"2026-11-27T10:00:{second:02}.000 {what}\n"


def test_every_file_of_every_service_is_there_in_the_order_of_time(tmp_path: Path) -> None:
    write(tmp_path, "gateway.log.2", at(1, "gateway a"), 10)
    write(tmp_path, "gateway.log.1", at(3, "gateway b") + at(5, "gateway c"), 20)
    # The start before had rotated too; its last file is younger than those.
    write(tmp_path, "gateway.log.before", at(7, "gateway d"), 30)
    write(tmp_path, "gateway.log", at(9, "gateway e") + "Traceback:\n  File x\n" + at(11, "gateway f"), 40)
    write(tmp_path, "mailbox_store.log", at(2, "store a") + at(10, "store b") + at(12, "no end").rstrip(), 40)
    write(tmp_path, "notes.txt", "not ours\n", 40)
    lines = [line.decode().rstrip("\n").partition(" ")[2] or line.decode() for line in merged(of_folder(tmp_path))]
    assert lines == [
        "gateway a", "store a", "gateway b", "gateway c", "gateway d", "gateway e", "Traceback:\n", " File x",
        "store b", "gateway f", "no end",
    ]  # fmt: skip


def test_json_has_its_time_too() -> None:
    one = [b'{"time": "2026-11-27T10:00:02.000Z", "service": "gateway"}\n']
    two = [b'{"time":"2026-11-27T10:00:01.000Z","service":"store"}\n']
    assert list(merged([iter(one), iter(two)])) == [*two, *one]


def test_of_the_last_lines_each_service_has_its_own() -> None:
    one, two = [b"a\n", b"b\n", b"c\n"], [b"d\n"]
    assert list(merged(last(2, [iter(one), iter(two)]))) == [b"b\n", b"c\n", b"d\n"]
    assert len(list(merged(last(None, [iter(one), iter(two)])))) == 4
    assert list(merged(last(0, [iter(one), iter(two)]))) == []


def test_no_folder_has_no_lines(tmp_path: Path) -> None:
    assert of_folder(tmp_path / "none") == []


LINES = st.lists(st.one_of(st.integers(0, 59).map(lambda second: at(second, "x").encode()), st.just(b"no time\n")))


@given(st.lists(LINES, max_size=4))
def test_nothing_is_lost_or_changes_its_place_within_its_service(services: list[list[bytes]]) -> None:
    tagged = [
        [b"%b%d\n" % (line.rstrip(), tag * 1000 + n) for n, line in enumerate(lines)]
        for tag, lines in enumerate(services)
    ]
    shown = list(merged(map(iter, tagged)))
    assert sorted(shown) == sorted(line for lines in tagged for line in lines)
    for lines in tagged:
        assert [line for line in shown if line in set(lines)] == lines
