"""Is an entry in its mailbox? Every answer, at every place where a write can be cut."""

from __future__ import annotations

import pytest

from mailbox_store.evidence import Evidence, examine
from mailbox_store.journal import Entry
from tests.mailbox_store.fakes import MemoryFiles

BOX = "a@b.example"
MARK = b"Received: from x with SMTP id s.1; date\n"
WHOLE = b"From x y\n" + MARK + b"Subject: s\n\nhello there\n\nthe end\n\n"
OLD = b"From o o\n\nold\n\n"


def _examine(content: bytes, *, power_lost: bool = False, start: int = len(OLD), pieces: int = 7) -> Evidence:
    entry = Entry(1, 0, BOX, start, 0, len(WHOLE))
    cut = [WHOLE[at : at + pieces] for at in range(0, len(WHOLE), pieces)]
    with MemoryFiles({BOX: content}).open(BOX) as handle:
        return examine(handle, entry, cut, MARK, power_lost=power_lost)


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


def test_an_entry_to_which_a_mail_reader_added_a_header_line_is_found() -> None:
    marked = WHOLE.replace(b"Subject: s\n", b"Subject: s\nStatus: RO\n")
    assert _examine(OLD + marked) is Evidence.ELSEWHERE


def test_a_cut_entry_with_a_user_s_text_behind_it_is_not_there() -> None:
    assert _examine(OLD + WHOLE[:-12] + b"my own words\n") is Evidence.ABSENT


def test_what_a_user_removed_is_not_there() -> None:
    assert _examine(b"") is Evidence.ABSENT
    assert _examine(OLD[:5]) is Evidence.ABSENT
    assert _examine(OLD + b"something else, longer than the entry would be" * 9) is Evidence.ABSENT


def test_another_delivery_s_mark_is_not_this_one_s() -> None:
    other = WHOLE.replace(b"id s.1;", b"id s.11;")
    assert _examine(OLD + OLD + other) is Evidence.ABSENT
