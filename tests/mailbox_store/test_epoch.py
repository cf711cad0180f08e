"""The store's epoch: when it is the same, and when it is another one."""

from __future__ import annotations

from collections import Counter

import pytest

from mailbox_store.epoch import AGE, FOLDER, MAILBOX, USERS, Epochs
from tests.mailbox_store.fakes import NOW, Clock, FakeWatch

FIRST, SECOND = object(), object()


class Bench:
    def __init__(self, watch: FakeWatch | None = None) -> None:
        self.now, self.clock, self.ended = NOW, Clock(), Counter[str]()
        self.epochs = Epochs(watch, lambda: self.now, self.clock, self.ended)

    def current(self, users: object = FIRST) -> int:
        return self.epochs.current(users)


def test_it_is_named_by_when_it_began_and_stays_while_nothing_changes() -> None:
    bench = Bench(FakeWatch())
    assert bench.current() == NOW
    bench.now += 5000
    bench.clock.now += 3000
    assert bench.current() == NOW
    assert bench.ended == {USERS: 1}


def test_each_change_begins_another() -> None:
    watch = FakeWatch()
    bench = Bench(watch)
    bench.current()
    watch.change()
    assert bench.current() == NOW + 1
    assert bench.current(SECOND) == NOW + 2
    assert bench.current(SECOND) == NOW + 2
    bench.now += 1000
    bench.epochs.end(MAILBOX)
    assert bench.current(SECOND) == NOW + 1000
    assert bench.ended == {USERS: 2, FOLDER: 1, MAILBOX: 1}


def test_a_change_that_comes_with_a_new_list_of_users_is_not_lost() -> None:
    watch = FakeWatch()
    bench = Bench(watch)
    bench.current()
    watch.change()
    first = bench.current(SECOND)
    assert bench.current(SECOND) > first


def test_a_clock_that_was_set_back_names_none_that_was() -> None:
    watch = FakeWatch()
    bench = Bench(watch)
    bench.current()
    bench.now -= 3_600_000
    watch.change()
    assert bench.current() == NOW + 1


@pytest.mark.parametrize(("watch", "seconds"), [(FakeWatch(), 3600.0), (None, 0.25)])
def test_it_ends_of_age(watch: FakeWatch | None, seconds: float) -> None:
    bench = Bench(watch)
    bench.current()
    bench.clock.now += seconds * 0.99
    assert bench.current() == NOW
    bench.clock.now += seconds * 0.01
    assert bench.current() == NOW + 1
    assert bench.ended[AGE] == 1


def test_where_the_folder_cannot_be_watched_it_ends_soon_and_that_is_tried_again() -> None:
    watch = FakeWatch()
    watch.watching = False
    bench = Bench(watch)
    bench.current()
    bench.clock.now += 0.25
    assert bench.current() == NOW + 1
    assert watch.renewed == 2
    watch.watching = True
    bench.clock.now += 0.25
    assert bench.current() == NOW + 2
    bench.clock.now += 3000
    assert bench.current() == NOW + 2
