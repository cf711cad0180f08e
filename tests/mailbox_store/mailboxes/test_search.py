"""All the entries that are looked for in a mailbox are found in one pass, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import whole
from mailbox_store.mailboxes import evidence as search_module
from mailbox_store.mailboxes.evidence import follows, search
from tests.mailbox_store.fakes import MemoryFiles, MemoryHandle

BOX = "a@b.example"


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
        patch.setattr(search_module, "_WINDOW", window)
        texts = {f"n{number}": text for number in range(31)}
        bench = Bench(b"".join(_entry(number, text) for number in numbers), **texts)
        assert bench.search(*wanted) == wanted & set(numbers)


@pytest.mark.parametrize("window", [1, 7, 64, 10**6])
def test_what_a_mail_quotes_or_has_attached_is_not_the_mail(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(search_module, "_WINDOW", window)
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
