"""What is said of addresses and mailboxes, and for how long it holds."""

from __future__ import annotations

import logging

import pytest

from tests.mailbox_store.bench import A, B, Bench, refuse_b
from tests.mailbox_store.fakes import NOW, FixedUsers
from wire.messages import Check, Deliver, Lookup, Stage
from wire.outcomes import Found, Writable


def test_an_unwritable_mailbox_is_told_once_until_it_can_be_written(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    for _ in range(2):
        caplog.clear()
        bench.files.before = refuse_b
        with caplog.at_level(logging.INFO):
            bench.ask(Check((B,)), Check((A,)), Check((B,)))
            assert caplog.messages == [f"! {B} cannot be written, mail for it is refused: Permission denied"]
            bench.files.before = lambda _kind, _name: None
            bench.ask(Check((B,)), Check((B,)))
        assert caplog.messages[1:] == [f"= {B} can be written again"]


def test_what_is_said_in_an_epoch_holds_until_another_begins() -> None:
    bench = Bench()
    for _ in range(2):
        said = bench.ask(Lookup("a", "b.example"), Check((A, B)))
        assert said == [Found(A, True, NOW, 300, 250), Writable(NOW, 250)]
        assert bench.ask(Deliver("one", NOW, "", (A,), b"", 0, b"x: y\n"), Stage("two", 0, b"x"))
        assert bench.store.epoch == NOW
        bench.now += 1000
        bench.clock.now += 100
    bench.watch.change()
    assert bench.ask(Lookup("a", "b.example")) == [Found(A, True, NOW + 2000, 300, 250)]
    bench.users.current = FixedUsers(A).current
    assert bench.ask(Lookup("a", "b.example")) == [Found(A, True, NOW + 2001, 300, 250)]
    assert bench.store.epoch == NOW + 2001


def test_whoever_knows_that_a_mailbox_could_be_written_in_this_epoch_is_believed() -> None:
    bench = Bench()
    opened: list[str] = []
    bench.files.before = lambda operation, name: opened.append(f"{operation} {name}")
    assert bench.ask(Check((A, B), NOW)) == [Writable(NOW)]
    assert opened == []
    assert bench.ask(Check((A, B), NOW - 1)) == [Writable(NOW, 250)]
    assert [each for each in opened if each.startswith("open")] == [f"open {A}", f"open {B}"]


def test_a_mailbox_that_can_be_changed_from_elsewhere_is_looked_at_each_time() -> None:
    bench = Bench()
    bench.files.links = {B}
    assert bench.ask(Lookup("b", "b.example"), Check((A, B)), Check((A,))) == [
        Found(B, False, NOW, 300, 250),
        Writable(0, 250),
        Writable(NOW, 250),
    ]
