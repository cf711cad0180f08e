"""Whose turn it is: nobody waits for what is larger than it is, nobody waits for ever."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_store.mailboxes import turns as turns_module
from mailbox_store.mailboxes.turns import Turns

MIB = 1024 * 1024


class Bench:
    """Mailboxes named by message and copy; each gets one copy of its message's size."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.turns = Turns(lambda mailbox: (hash(mailbox.split("-")[0]), self.sizes[mailbox.split("-")[0]]))

    def add(self, message: str, copies: int) -> None:
        for copy in range(copies):
            self.turns.add(f"{message}-{copy}")

    def take(self, count: int = 10**6) -> list[str]:
        taken: list[str] = []
        while len(taken) < count and (mailbox := self.turns.next(0.0)) is not None:
            taken.append(mailbox)
        return taken


def test_a_small_message_does_not_wait_for_a_large_one_to_many() -> None:
    bench = Bench(large=30 * MIB, small=5 * MIB)
    bench.add("large", 600)
    assert bench.take(3) == ["large-0", "large-1", "large-2"]
    bench.add("small", 2)
    assert bench.take(2) == ["small-0", "small-1"]
    assert len(bench.take()) == 597


def test_two_large_messages_share() -> None:
    bench = Bench(one=30 * MIB, two=30 * MIB)
    bench.add("one", 100)
    bench.take(10)
    bench.add("two", 100)
    taken = Counter(mailbox.split("-")[0] for mailbox in bench.take(60))
    assert abs(taken["one"] - taken["two"]) <= 1


def test_no_stream_of_small_messages_keeps_a_large_one_waiting_for_ever() -> None:
    bench = Bench(large=30 * MIB, **{f"small{number}": MIB for number in range(100)})
    bench.add("large", 1)
    waited = 0
    for number in range(100):
        bench.add(f"small{number}", 1)
        if bench.take(1) == ["large-0"]:
            break
        waited += 1
    assert waited <= 30


def test_what_is_due_later_is_not_in_line_before() -> None:
    bench = Bench(one=1)
    bench.turns.add_later("one-0", 5.0)
    bench.turns.add_later("one-1", 3.0)
    assert (bench.turns.due(2.9), bench.turns.next(2.9)) == (False, None)
    assert (bench.turns.due(3.0), bench.turns.next(3.0), bench.turns.next(3.0)) == (True, "one-1", None)
    assert bench.turns.next(9.0) == "one-0"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(0, 3)), max_size=30))
def test_each_has_its_turn_once_and_those_of_one_message_in_order(steps: list[tuple[int, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns_module, "_SLACK", 0)
        bench = Bench(**{f"m{number}": 10 ** (number % 3) for number in range(6)})
        added: list[str] = []
        taken: list[str] = []
        for message, copies, take in steps:
            for _ in range(copies):
                added.append(f"m{message}-{len(added)}")
                bench.turns.add(added[-1])
            taken += bench.take(take)
        taken += bench.take()
    assert sorted(taken) == sorted(added)
    for message in range(6):
        of_one = [mailbox for mailbox in taken if mailbox.startswith(f"m{message}-")]
        assert of_one == [mailbox for mailbox in added if mailbox.startswith(f"m{message}-")]
