"""What is said of addresses and mailboxes, and for how long it holds."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailbox_store.mailboxes.files import DiskFiles
from mailbox_store.metrics import Totals
from mailbox_store.users.directory import Directory, Unlisted
from tests.mailbox_store.bench import A, B, Bench, refuse_b
from tests.mailbox_store.fakes import (
    NOW,
    AskedStore,
    Clock,
    FixedUsers,
    InlineExecutor,
    MemoryFiles,
    MemoryJournal,
    State,
)
from wire.messages import Ask, Check, Deliver, Lookup, Question
from wire.outcomes import Delivered, Failed, Found, NoSuchUser, Outcome, Unwritable, Writable


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


# ---------------------------------------------------------------- UNKNOWN=create


ANA, NEW = "ana@b.example", "new@far.example"


class Creating:
    """A store with UNKNOWN=create, which may be another run of one before."""

    def __init__(
        self,
        files: MemoryFiles | None = None,
        state: State | None = None,
        most: int = 3,
        users: tuple[str, ...] = (ANA,),
    ) -> None:
        self.journal, self.files, self.clock = MemoryJournal(state), files or MemoryFiles(), Clock()
        self.users = FixedUsers(*users)
        self.files.create(self.users.current.mailboxes)
        self.unlisted = Unlisted(self.files, self.users, self.clock, most)
        self.store = AskedStore(
            self.journal,
            self.files,
            self.users,
            InlineExecutor(),
            lambda: NOW,
            self.clock,
            unlisted=self.unlisted,
        )
        self.store.recover("boot")

    def ask(self, *questions: Question) -> list[Outcome]:
        return self.store.answer([Ask(1, NOW, question) for question in questions])

    def deliver(self, name: str, *mailboxes: str) -> Outcome:
        question = Deliver(name, NOW, "s@e", mailboxes, f"Received: id {name}\n".encode(), 0, b"x: y\n")
        return self.ask(question)[0]


def _named(outcome: Outcome) -> str:
    assert isinstance(outcome, Found)
    return outcome.mailbox


def test_it_is_made_when_mail_for_it_is_taken_and_no_sooner() -> None:
    bench = Creating()
    # That it can be written holds for no time before it is there.
    assert bench.ask(Lookup("New", "far.example"), Check((NEW,)), Check((ANA, NEW))) == [
        Found(NEW, holds=300),
        Writable(),
        Writable(),
    ]
    assert list(bench.files.content) == [ANA]
    assert bench.deliver("one.1", ANA, NEW) == Delivered(False)
    assert bytes(bench.files.content[NEW]).count(b"Received: id one.1\n") == 1
    assert bench.ask(Lookup("new", "far.example"), Check((NEW,))) == [
        Found(NEW, holds=300, writable_for=250),
        Writable(holds=250),
    ]


@pytest.mark.parametrize(
    ("local", "domain", "mailbox"),
    [
        ("New", "Far.example", NEW),
        ("new+tag", "far.example", NEW),
        ("+tag", "far.example", "+tag@far.example"),
        ("ana+tag", "b.example", ANA),
        ("who", "b.example", "who@b.example"),
        ("postmaster", "b.example", ANA),
        ("a b", "c", '"a b"@c'),
        ("é", "ü.example", "é@ü.example"),
        ("x", "[192.0.2.1]", "x@[192.0.2.1]"),
    ],
)
def test_whoever_is_no_user_has_the_mailbox_that_a_user_would_have(local: str, domain: str, mailbox: str) -> None:
    assert _named(Creating().ask(Lookup(local, domain))[0]) == mailbox


def test_a_name_without_a_domain_is_a_user_s_or_nobody_s() -> None:
    assert Creating().ask(Lookup("new", "")) == [NoSuchUser()]


@pytest.mark.parametrize(
    ("local", "domain", "rule"),
    [
        ("../../etc/x", "b.example", "cannot be the name of a mailbox file"),
        ("a/b", "b.example", "cannot be the name of a mailbox file"),
        ("*", "b.example", "only the users file makes one"),
        ("*", "*", "only the users file makes one"),
        ("x" * 64, "y" * 63 + "." + "z" * 63 + "." + "w" * 63, "over 255 octets"),
        ("a\0", "b.example", "cannot be the name of a mailbox file"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_with_the_rule(local: str, domain: str, rule: str) -> None:
    (outcome,) = Creating().ask(Lookup(local, domain))
    assert isinstance(outcome, NoSuchUser)
    assert rule in outcome.why


@pytest.mark.parametrize(
    "name", ["../x@b.example", "New@far.example", "new+tag@far.example", "*@b.example", "new", "a/b@c"]
)
def test_a_name_that_no_look_up_gives_is_nobody_s_mailbox(name: str) -> None:
    bench = Creating()
    assert bench.ask(Check((name,))) == [Unwritable(name, "no such mailbox")]
    outcome = bench.deliver("one.1", ANA, name)
    assert isinstance(outcome, Failed)
    assert bytes(bench.files.content[ANA]) == b""


@pytest.mark.parametrize("in_its_place", [Path.mkdir, os.mkfifo])
def test_a_name_that_something_else_has_is_refused_before_there_is_mail_for_it(
    folder: Path, in_its_place: Callable[[Path], None]
) -> None:
    files, users = DiskFiles(folder), FixedUsers(ANA)
    directory = Directory(files, users, Totals(), Unlisted(files, users, Clock()))
    in_its_place(folder / f"{NEW}.txt")
    found = directory.answer(Lookup("new", "far.example"))
    assert isinstance(found, Found)
    assert found.writable_for == 0
    assert directory.answer(Check((ANA, NEW))) == Unwritable(NEW, "Not a regular file")


def test_another_run_knows_them_and_has_what_was_under_way() -> None:
    """Killed after the commit, before the mailbox had it."""
    bench = Creating()
    bench.files.locked = {NEW}
    assert bench.deliver("one.1", NEW) == Delivered(False)
    again = Creating(bench.files, bench.journal.state)
    again.files.locked = set()
    again.clock.now += 1
    again.store.tick()
    assert bytes(again.files.content[NEW]).count(b"Received: id one.1\n") == 1
    assert again.unlisted.is_made(NEW)
    assert again.ask(Lookup("new", "far.example")) == [Found(NEW, holds=300, writable_for=250)]


def test_there_are_so_many_at_most_and_those_go_on() -> None:
    bench = Creating()
    for number in range(3):
        assert bench.deliver(f"one.{number}", f"{number}@c") == Delivered(False)
    full, old = bench.ask(Lookup("4", "c"), Lookup("1", "c"))
    assert isinstance(full, Failed)
    assert full.kind == "disk_full"
    assert _named(old) == "1@c"
    assert bench.deliver("two.1", "1@c", ANA) == Delivered(False)
    outcome = bench.deliver("two.2", "4@c", ANA)
    assert isinstance(outcome, Failed)
    assert "4@c" not in bench.files.content
    # One that its owner has removed makes room.
    del bench.files.content["2@c"]
    bench.clock.now += 1
    assert _named(bench.ask(Lookup("4", "c"))[0]) == "4@c"
    assert bench.deliver("two.3", "4@c") == Delivered(False)


def test_a_mail_to_more_new_ones_than_there_is_room_for_makes_none() -> None:
    bench = Creating()
    assert isinstance(bench.deliver("one.1", *(f"{number}@c" for number in range(4))), Failed)
    assert bench.deliver("one.2", *(f"{number}@c" for number in range(3))) == Delivered(False)


def test_users_and_catch_alls_come_first() -> None:
    bench = Creating(users=(ANA, "*@catch.example"))
    names = [_named(outcome) for outcome in bench.ask(Lookup("x", "catch.example"), Lookup("x", "b.example"))]
    assert names == ["*@catch.example", "x@b.example"]
    assert _named(Creating(users=(ANA, "*@*")).ask(Lookup("x", "far.example"))[0]) == "*@*"


def test_a_folder_that_cannot_be_listed_counts_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Creating(most=1)
    assert bench.deliver("one.1", NEW) == Delivered(False)

    def fail() -> list[str]:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(bench.files, "names", fail)
    bench.clock.now += 1
    assert isinstance(bench.ask(Lookup("x", "c"))[0], Failed)
    assert _named(bench.ask(Lookup("new", "far.example"))[0]) == NEW


@given(st.text(max_size=70), st.from_regex(r"[a-z0-9]{1,63}(\.[a-z0-9]{1,63}){0,3}", fullmatch=True))
def test_what_a_look_up_gives_is_a_file_of_the_folder_that_another_run_finds(local: str, domain: str) -> None:
    found = Unlisted(MemoryFiles(), FixedUsers(ANA), Clock()).lookup(local, domain)
    if isinstance(found, Found):
        name = found.mailbox + ".txt"
        assert Path(name).name == name
        assert not name.startswith(".")
        assert len(name.encode()) <= 255
        # What is asked for by SMTP is a local part that parses; of others none is found again.
        again = Unlisted(MemoryFiles({found.mailbox: b""}), FixedUsers(ANA), Clock())
        assert again.is_made(found.mailbox) == again.takes(found.mailbox)


def test_the_names_in_a_folder_on_disk(tmp_path: Path) -> None:
    for name in ("new@far.example.txt", "notes.txt", "x@c.txt.bak", ".y@c.txt", "*@c.txt", "ana@b.example.txt"):
        (tmp_path / name).touch()
    unlisted = Unlisted(DiskFiles(tmp_path), FixedUsers(ANA), Clock())
    made = [name for name in ("new@far.example", "notes", "x@c", ".y@c", "*@c") if unlisted.is_made(name)]
    assert made == ["new@far.example"]
