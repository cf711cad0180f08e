"""Messages in mailboxes are counted as a mail reader would, however they arrive."""

from __future__ import annotations

import mailbox
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench import counting
from bench.counting import Counter

ENTRY = b"From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\n>From here\nFrom: nobody\n\n"


def test_the_count_is_that_of_python_s_mailbox(folder: Path) -> None:
    path = folder / "a.txt"
    path.write_bytes(7 * ENTRY)
    box = mailbox.mbox(path, create=False)
    try:
        assert Counter(folder).look() == len(box) == 7
    finally:
        box.close()


@given(st.integers(1, 3 * len(ENTRY) - 1))
def test_it_does_not_matter_where_a_look_came_in_between(cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.txt"
        counter = Counter(path.parent)
        path.write_bytes((3 * ENTRY)[:cut])
        counter.look()
        path.write_bytes(3 * ENTRY)
        assert counter.look() == 3


def test_a_separator_across_two_reads_counts_once(folder: Path) -> None:
    # The second message begins in the last octets of the first chunk.
    filler = ENTRY + b"x" * (counting._CHUNK - len(ENTRY) - 3)
    (folder / "a.txt").write_bytes(filler + b"\n" + ENTRY)
    assert Counter(folder).look() == 2


def test_an_emptied_mailbox_is_counted_anew_and_the_sum_stays(folder: Path) -> None:
    path = folder / "a.txt"
    path.write_bytes(2 * ENTRY)
    (folder / "b.txt").write_bytes(ENTRY)
    (folder / "no-mailbox").write_bytes(ENTRY)
    counter = Counter(folder)
    assert counter.look() == 3
    assert counter.octets() == 3 * len(ENTRY)
    counter.empty()
    assert path.stat().st_size == 0
    path.write_bytes(ENTRY)
    assert counter.look() == 4
