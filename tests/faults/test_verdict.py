"""The judge itself: it finds what is wrong, and finds nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.load import Journal, Sent, reverse_path, stuffed, text
from tests.faults.verdict import Verdict, judge

A, B = "a@example.com", "b@example.com"
LARGEST = 1000


def entry(number: int, delivery: str, message: bytes) -> bytes:
    quoted = b"\n".join(
        b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in (message or b"\n").split(b"\n")
    )
    return (
        f"From {reverse_path(number)} Mon Nov 23 07:05:55 2026\nReturn-Path: <{reverse_path(number)}>\n"
        f"Delivered-To: x\nReceived: from y by z with ESMTP\n id {delivery}; now\n"
    ).encode() + quoted + b"\n"  # fmt: skip


@pytest.fixture
def journal() -> Journal:
    journal = Journal(seed=7)
    journal.sent = {1: Sent(1, (A, B), "s-1.1"), 2: Sent(2, (A,), "s-1.2"), 3: Sent(3, (A, B))}
    return journal


def verdict_of(journal: Journal, folder: Path, contents: dict[str, list[tuple[int, str]]]) -> Verdict:
    files = {}
    for address, entries in contents.items():
        path = folder / f"{address}.txt"
        path.write_bytes(b"".join(entry(number, delivery, text(7, number, LARGEST)) for number, delivery in entries))
        files[address] = [path]
    return judge(journal, files, LARGEST)


def test_a_good_run_is_good(journal: Journal, tmp_path: Path) -> None:
    verdict = verdict_of(journal, tmp_path, {A: [(1, "s-1.1"), (2, "s-1.2")], B: [(1, "s-1.1")]})
    assert verdict.good
    assert (verdict.acknowledged, verdict.stored, verdict.unacknowledged_but_stored) == (2, 3, 0)


def test_an_unacknowledged_message_may_be_whole_in_all_its_mailboxes(journal: Journal, tmp_path: Path) -> None:
    whole = [(1, "s-1.1"), (3, "s-1.3")]
    verdict = verdict_of(journal, tmp_path, {A: [*whole, (2, "s-1.2")], B: whole})
    assert verdict.good
    assert verdict.unacknowledged_but_stored == 1


@pytest.mark.parametrize(
    ("kind", "in_a", "in_b"),
    [
        ("lost", [(1, "s-1.1"), (2, "s-1.2")], []),
        ("lost", [], []),
        ("doubled", [(1, "s-1.1"), (2, "s-1.2"), (2, "s-1.2")], [(1, "s-1.1")]),
        ("torn", [(1, "s-1.1"), (2, "s-1.2"), (3, "s-1.3")], [(1, "s-1.1")]),
        ("foreign", [(1, "s-1.1"), (2, "s-1.2")], [(1, "s-1.1"), (2, "s-1.2")]),
        ("foreign", [(1, "s-1.1"), (2, "s-9.9")], [(1, "s-1.1")]),
        ("foreign", [(1, "s-1.1"), (2, "s-1.2"), (99, "s-1.9")], [(1, "s-1.1")]),
    ],
)
def test_each_offence_is_found(
    journal: Journal, tmp_path: Path, kind: str, in_a: list[tuple[int, str]], in_b: list[tuple[int, str]]
) -> None:
    verdict = verdict_of(journal, tmp_path, {A: in_a, B: in_b})
    assert not verdict.good
    assert getattr(verdict, kind)


def test_a_message_with_one_octet_changed_is_torn(journal: Journal, tmp_path: Path) -> None:
    verdict_of(journal, tmp_path, {A: [(1, "s-1.1"), (2, "s-1.2")], B: [(1, "s-1.1")]})
    path = tmp_path / f"{B}.txt"
    octets = path.read_bytes()
    path.write_bytes(octets[:-3] + b"!" + octets[-2:])
    assert judge(journal, {A: [tmp_path / f"{A}.txt"], B: [path]}, LARGEST).torn


def test_a_file_that_ends_inside_the_trace_lines_is_torn(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / f"{A}.txt"
    path.write_bytes(entry(2, "s-1.2", b"")[:90])
    with pytest.raises(AssertionError, match="begins with"):
        judge(journal, {A: [path]}, LARGEST)


def test_the_load_writes_what_is_hard_to_store() -> None:
    texts = [text(7, number, 100_000) for number in range(300)]
    assert b"" in texts
    assert any(b"\nFrom " in message for message in texts)
    assert any(b"\n.\n" in message for message in texts)
    assert 50_000 < max(map(len, texts)) < 101_000
    assert stuffed(b".\n..\nx\n") == b"..\r\n...\r\nx\r\n.\r\n"
    assert stuffed(b"") == b".\r\n"
