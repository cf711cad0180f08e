"""What is said of addresses and mailboxes, and for how long it holds."""

from __future__ import annotations

import logging

import pytest

from tests.mailbox_store.bench import A, B, Bench, refuse_b
from tests.mailbox_store.fakes import FixedUsers
from wire.messages import Check, Lookup
from wire.outcomes import Found, NoSuchUser, Unwritable, Writable


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


def test_an_outcome_says_for_how_long_it_holds() -> None:
    bench = Bench()
    # A local part alone is asked anew each time, by whom it was asked before.
    assert bench.ask(Lookup("a", "b.example"), Lookup("a", ""), Check((A, B))) == [
        Found(A, holds=300, writable_for=250),
        Found(A, holds=0, writable_for=250),
        Writable(holds=250),
    ]
    bench.files.before = refuse_b
    assert bench.ask(Lookup("b", "b.example"), Check((A, B)), Check((A,))) == [
        Found(B, holds=300, writable_for=0),
        Unwritable(B, "Permission denied"),
        Writable(holds=250),
    ]


def test_a_new_list_of_users_is_what_is_said_next() -> None:
    bench = Bench()
    bench.users.current = FixedUsers("a+x@b.example").current
    assert bench.ask(Lookup("b", "b.example")) == [NoSuchUser()]


def test_a_look_at_a_mailbox_opens_nothing() -> None:
    bench = Bench()
    done: list[str] = []
    bench.files.before = lambda operation, name: done.append(f"{operation} {name}")
    bench.ask(Lookup("a", "b.example"), Check((A, B)))
    assert done == [f"look {A}", f"look {A}", f"look {B}"]
