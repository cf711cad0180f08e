"""Texts in files: found where they were put, never written over while they are needed, and files used again."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailbox_store.journal.texts import Spot, Texts


@pytest.fixture
def texts(folder: Path) -> Iterator[Texts]:
    made = Texts(folder / "texts", 0, full=10)
    yield made
    made.clear(())


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in (folder / "texts").iterdir())


def test_texts_are_found_again_in_full_files_and_in_the_one_in_use(texts: Texts, folder: Path) -> None:
    spots = {texts.put(text): text for text in (b"one", b"", b"three" * 5, b"four", b"five" * 9, b"six")}
    texts.sync()
    assert {spot: texts.get(spot) for spot in spots} == spots
    assert numbers(folder) == [1, 2, 3]
    again = Texts(folder / "texts", 0)
    assert {spot: again.get(spot) for spot in spots} == spots
    again.clear([1, 2, 3])


def test_a_new_run_begins_a_file_of_its_own_behind_all_that_were_known(texts: Texts, folder: Path) -> None:
    texts.put(b"one")
    again = Texts(folder / "texts", 7)
    assert again.put(b"two") == Spot(8, 0, 3)
    again.clear([1])


def test_files_that_are_not_needed_are_used_again_and_no_others(texts: Texts, folder: Path) -> None:
    texts.put(b"first of all")
    needed = texts.put(b"needed and long")
    for _ in range(20):
        texts.put(b"not needed")
        texts.sync()
        texts.keep([needed.file])
    assert texts.get(needed) == b"needed and long"
    assert len(numbers(folder)) <= 4


def test_only_a_few_files_are_kept_for_later(texts: Texts, folder: Path) -> None:
    for _ in range(30):
        texts.put(b"ten octets")
    assert len(numbers(folder)) == 30
    assert texts.may_let_go
    texts.keep([])
    assert len(numbers(folder)) == 17
    assert not texts.may_let_go


def test_what_was_put_since_a_mark_is_written_over(texts: Texts) -> None:
    first = texts.put(b"one")
    mark = texts.mark
    texts.put(b"two")
    texts.rewind(mark)
    assert texts.put(b"six") == Spot(first.file, 3, 3)
    mark = texts.mark
    texts.put(b"until it is full")
    texts.put(b"in a file of its own")
    texts.rewind(mark)
    other = texts.put(b"again")
    assert (other.file, other.place) == (first.file + 1, 0)
    assert texts.get(first) == b"one"


def test_a_sync_is_of_all_files_that_were_written(
    texts: Texts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = set()
    fdatasync = os.fdatasync

    def record(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", record)
    for _ in range(3):
        texts.put(b"ten octets")
    texts.sync()
    assert synced == {path.stat().st_ino for path in (folder / "texts").iterdir()}


def test_after_a_sync_that_failed_another_file_is_taken(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    first = texts.put(b"one")
    texts.sync()
    mark = texts.mark
    texts.put(b"two")

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output"):
            texts.sync()
    texts.rewind(mark)
    second = texts.put(b"two")
    assert second.file != first.file
    texts.sync()
    assert (texts.get(first), texts.get(second)) == (b"one", b"two")


@pytest.mark.parametrize("in_use", [True, False])
def test_a_file_that_is_cut_short_or_gone_is_an_error(texts: Texts, folder: Path, in_use: bool) -> None:
    spot = texts.put(b"a text of some length")
    if not in_use:
        texts.put(b"another")
    path = folder / "texts" / f"{spot.file:08}"
    os.truncate(path, 5)
    with pytest.raises(OSError, match="ends before the text does"):
        texts.get(spot)
    if not in_use:
        path.unlink()
        with pytest.raises(FileNotFoundError):
            texts.get(spot)


def test_spare_files_that_are_gone_are_missed_by_nobody(texts: Texts, folder: Path) -> None:
    for turn in range(20):
        texts.put(b"ten octets")
        texts.keep([])
        if turn % 3 == 0:
            for number in numbers(folder)[:-1]:
                (folder / "texts" / f"{number:08}").unlink()
    assert texts.get(texts.put(b"text")) == b"text"


def test_a_stranger_s_file_is_in_the_way_once(texts: Texts, folder: Path) -> None:
    (folder / "texts" / "00000001").write_bytes(b"a stranger's")
    with pytest.raises(FileExistsError):
        texts.put(b"text")
    assert texts.get(texts.put(b"text")) == b"text"
    assert (folder / "texts" / "00000001").read_bytes() == b"a stranger's"


def test_writes_that_the_kernel_cuts_are_gone_on_with(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, place: pwrite(fd, data[:3], place))
    assert texts.get(texts.put(b"a text of some length")) == b"a text of some length"


def test_a_write_that_fails_leaves_the_place_to_the_next(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    texts.put(b"one")
    pwrite = os.pwrite

    def fill(fd: int, data: bytes, place: int) -> int:
        if place > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(fd, data[:1], place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fill)
        with pytest.raises(OSError, match="No space"):
            texts.put(b"two")
    assert texts.put(b"six") == Spot(1, 3, 3)


def test_only_the_owner_can_read_them(texts: Texts, folder: Path) -> None:
    texts.put(b"secret")
    assert stat.S_IMODE((folder / "texts").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder / "texts").iterdir()} == {0o600}


def test_clearing_leaves_what_is_needed_and_the_next_text_goes_to_a_new_file(texts: Texts, folder: Path) -> None:
    spots = [texts.put(b"ten octets") for _ in range(5)]
    texts.keep([spots[1].file])
    texts.clear([spots[1].file])
    assert numbers(folder) == [spots[1].file]
    assert texts.get(spots[1]) == b"ten octets"
    assert texts.put(b"another") == Spot(6, 0, 7)
