"""Is an entry in its mailbox? Every answer, at every place where a write can be cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import whole
from mailbox_store.journal.journal import HeldEntry
from mailbox_store.mailboxes import evidence
from mailbox_store.mailboxes.evidence import Evidence, follows, search
from mailbox_store.mailboxes.rendering import Rendering
from mailbox_store.mailboxes.visit import Doubt, Settled, ToAppend, Visit
from tests.mailbox_store.fakes import MemoryFiles, MemoryHandle, MemoryJournal

BOX = "a@b.example"
MARK = b"Received: from x with SMTP id s.1; date\n"
WHOLE = b"From x y\n" + MARK + b"Subject: s\n\nhello there\n\nthe end\n\n"
OLD = b"From o o\n\nold\n\n"


class _Rendered:
    """An entry's octets, cut into pieces."""

    def __init__(self, entry: bytes, pieces: int) -> None:
        self._cut = [entry[at : at + pieces] for at in range(0, len(entry), pieces)]

    def pieces(self, _entry: HeldEntry) -> Iterator[bytes]:
        return iter(self._cut)

    def mark(self) -> bytes:
        return MARK


def _examine(
    content: bytes, *, power_lost: bool = False, start: int = len(OLD), pieces: int = 7, entry: bytes = WHOLE
) -> Evidence:
    """What a visit finds of an entry."""
    files, rendered = MemoryFiles({BOX: content}), cast(Rendering, _Rendered(entry, pieces))
    visit = Visit(BOX, deque(), files, MemoryJournal(), lambda _: rendered, Settled())
    task = ToAppend(HeldEntry(1, 0, BOX, start, 0, len(entry)), Doubt.ANY if power_lost else Doubt.PART)
    with files.open(BOX) as handle:
        looking = visit._look_for(handle, [task], handle.size())
        while True:
            try:
                next(looking)
            except StopIteration as end:
                (evidence,) = end.value
                return cast(Evidence, evidence)


@pytest.mark.parametrize("power_lost", [False, True])
def test_an_entry_at_its_place_is_whole(power_lost: bool) -> None:
    assert _examine(OLD + WHOLE, power_lost=power_lost) is Evidence.WHOLE
    assert _examine(OLD + WHOLE + b"more", power_lost=power_lost) is Evidence.WHOLE


@pytest.mark.parametrize("power_lost", [False, True])
def test_a_cut_entry_is_torn_wherever_it_is_cut(power_lost: bool) -> None:
    for end in range(1, len(WHOLE)):
        assert _examine(OLD + WHOLE[:end], power_lost=power_lost) is Evidence.TORN
    assert _examine(OLD, power_lost=power_lost) is Evidence.ABSENT


def test_zeros_are_the_store_s_after_a_loss_of_power_only() -> None:
    for hole in (slice(0, len(WHOLE)), slice(0, 10), slice(20, 30), slice(len(WHOLE) - 1, len(WHOLE))):
        torn = bytearray(WHOLE)
        torn[hole] = bytes(len(torn[hole]))
        assert _examine(OLD + torn, power_lost=True) is Evidence.TORN
        assert _examine(OLD + torn + b"behind", power_lost=True) is Evidence.TORN
        assert _examine(OLD + torn, power_lost=False) in (Evidence.ABSENT, Evidence.ELSEWHERE)


def test_an_entry_that_a_user_s_edit_moved_is_found() -> None:
    assert _examine(WHOLE) is Evidence.ELSEWHERE
    assert _examine(OLD + OLD + WHOLE) is Evidence.ELSEWHERE


def test_an_entry_is_found_where_as_much_was_removed_before_it_as_it_has() -> None:
    behind = OLD + b"x" * len(WHOLE)
    assert _examine(OLD + WHOLE, start=len(behind)) is Evidence.ELSEWHERE


def test_an_entry_to_which_a_mail_reader_added_a_header_line_is_found() -> None:
    marked = WHOLE.replace(b"Subject: s\n", b"Subject: s\nStatus: RO\n")
    assert _examine(OLD + marked) is Evidence.ELSEWHERE


def test_a_cut_entry_with_a_user_s_text_behind_it_is_not_there() -> None:
    assert _examine(OLD + WHOLE[:-12] + b"my own words\n") is Evidence.ABSENT


def test_a_cut_entry_with_words_behind_it_that_it_ends_with_is_not_there() -> None:
    assert _examine(OLD + WHOLE[:-12] + b"\nthe end\n") is Evidence.ABSENT


@pytest.mark.parametrize("message", [b"", b"Subject: s\n", b"Subject: s\n\n", b"Subject: s\nTo: t\n\n\n\n"])
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_a_message_without_a_text_is_found_by_its_header(message: bytes, pieces: int) -> None:
    entry = b"From x y\n" + MARK + whole(message)
    added = entry.replace(b"\n\n", b"\nStatus: RO\n\n", 1)
    for edited in (OLD + OLD + entry, entry, OLD + added, OLD + added.rstrip(b"\n") + b"\n\n" + OLD):
        assert _examine(edited, pieces=pieces, entry=entry) is Evidence.ELSEWHERE
    if b"To:" in message:
        cut = entry[: entry.index(b"To:")]
        assert _examine(OLD + OLD + cut + b"\nmy own words\n", pieces=pieces, entry=entry) is Evidence.ABSENT


@given(text=st.binary(max_size=60), pieces=st.integers(1, 60), start=st.integers(0, 80))
def test_an_entry_is_found_whatever_its_text_and_wherever_it_is_cut_into_pieces(
    text: bytes, pieces: int, start: int
) -> None:
    entry = b"From x y\n" + MARK + whole(text)
    found = _examine(b"a new beginning\n\n" + entry, pieces=pieces, start=start, entry=entry)
    assert found in (Evidence.ELSEWHERE, Evidence.WHOLE)


def test_what_a_user_removed_is_not_there() -> None:
    assert _examine(b"") is Evidence.ABSENT
    assert _examine(OLD[:5]) is Evidence.ABSENT
    assert _examine(OLD + b"something else, longer than the entry would be" * 9) is Evidence.ABSENT


def test_another_delivery_s_mark_is_not_this_one_s() -> None:
    other = WHOLE.replace(b"id s.1;", b"id s.11;")
    assert _examine(OLD + OLD + other) is Evidence.ABSENT


# ---------------------------------------------------------------- the pass over a mailbox


def _mark(number: int) -> bytes:
    return b"\tby home.example with SMTP id s-%d.1; date\n" % number


def _entry(number: int, text: bytes = b"") -> bytes:
    head = b"From x Mon\nReturn-Path: <x>\nReceived: from a\n" + _mark(number)
    return head + whole(b"Subject: %d\n\n" % number + text)


class Handle(MemoryHandle):
    """Settled what is read."""

    read_octets = 0

    def read(self, offset: int, count: int) -> bytes:
        data = super().read(offset, count)
        self.read_octets += len(data)
        return data


class Bench:
    def __init__(self, content: bytes, **texts: bytes) -> None:
        self.handle = Handle(MemoryFiles({BOX: content}), BOX)
        self.texts = {int(name[1:]): text for name, text in texts.items()}
        self.tried = 0

    def search(self, *numbers: int, start: int = 0) -> set[int]:
        marks = {_mark(number): number for number in numbers}

        def matches(mark: bytes, place: int) -> Generator[int, None, bool]:
            self.tried += 1
            number = marks[mark]
            return (yield from follows(self.handle, place, mark, [_entry(number, self.texts.get(number, b""))]))

        portions = search(self.handle, start, marks, matches)
        while True:
            try:
                next(portions)
            except StopIteration as end:
                return {marks[mark] for mark in end.value}


def test_a_thousand_entries_are_found_in_one_pass() -> None:
    content = b"".join(map(_entry, range(1000)))
    bench = Bench(content)
    assert bench.search(*range(0, 2000, 2)) == set(range(0, 1000, 2))
    assert bench.handle.read_octets < 2 * len(content) + 500 * 70_000
    bench = Bench(content)
    bench.search(*range(5000, 6000))
    assert bench.handle.read_octets == len(content)


@given(
    numbers=st.lists(st.integers(0, 30), unique=True, max_size=8),
    wanted=st.sets(st.integers(0, 30), min_size=1, max_size=8),
    window=st.integers(1, 200),
    text=st.sampled_from([b"", b"x\n", b"\n\n\n", b"From here\n\n", b"no end", b"a\n\nb\n\n" * 9]),
)
def test_it_finds_what_is_there_wherever_the_windows_end(
    numbers: list[int], wanted: set[int], window: int, text: bytes
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "_WINDOW", window)
        texts = {f"n{number}": text for number in range(31)}
        bench = Bench(b"".join(_entry(number, text) for number in numbers), **texts)
        assert bench.search(*wanted) == wanted & set(numbers)


@pytest.mark.parametrize("window", [1, 7, 64, 10**6])
def test_what_a_mail_quotes_or_has_attached_is_not_the_mail(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(evidence, "_WINDOW", window)
    attached = _entry(2, b"--x\nContent-Type: message/rfc822\n\n" + _entry(1)[len(b"From x Mon\n") :])
    assert Bench(attached, n2=attached).search(1) == set()
    assert Bench(attached + _entry(1)).search(1) == {1}


def test_a_mark_that_is_repeated_is_tried_once_for_each_header() -> None:
    header = b"From x\n" + 5000 * _mark(1) + b"\nother text\n\n"
    body = b"From x\n" + _mark(2) + b"\n" + 5000 * (b"\n" + _mark(1) + b"\ntext\n") + b"\n"
    bench = Bench(header + body + _entry(1))
    assert bench.search(1, 3) == {1}
    assert bench.tried == 2


def test_a_file_of_lines_that_begin_as_marks_do_is_read_once() -> None:
    content = (
        b"From x\n" + 50_000 * b"\tby home.example with SMTP id s-" + 50_000 * b"\tby home.example with SMTP id s-\n"
    )
    bench = Bench(content)
    assert bench.search(1, 2) == set()
    assert bench.handle.read_octets == len(content)


def test_from_a_place_on_it_is_found_whatever_that_is_the_middle_of() -> None:
    content = _entry(1) + _entry(2)
    assert Bench(content).search(1, 2, start=len(_entry(1)) + 20) == {2}
    assert Bench(content).search(1, 2, start=len(content)) == set()
    assert Bench(b"").search(1) == set()
