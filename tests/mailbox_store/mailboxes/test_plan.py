"""Where entries are to go, and which mailboxes are open until then."""

from __future__ import annotations

import errno
import gc
from pathlib import Path

import pytest

from mailbox_store.journal.journal import JournalError
from mailbox_store.mailboxes import plan as plan_module
from mailbox_store.mailboxes.files import DiskFiles
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.mailboxes.plan import Plan
from mailbox_store.mailboxes.rendering import Rendering
from tests.mailbox_store.fakes import NOW, AskedStore, Clock, FixedUsers, InlineExecutor, MemoryFiles, MemoryJournal
from wire.messages import Ask, Deliver
from wire.outcomes import Delivered, Failed

BOX = "a@b.example"


def test_entries_of_one_plan_follow_one_another() -> None:
    files = MemoryFiles({BOX: b"by hand"})
    plan = Plan(Mailboxes(files, MemoryJournal(), Clock()), files)
    first = plan.place(BOX, 10)
    plan.placed([first])
    second = plan.place(BOX, 10)
    assert (first.start, first.lead, first.length) == (7, 2, 12)
    assert (second.start, second.lead, second.length) == (19, 0, 10)


def test_a_mailbox_that_cannot_be_opened_is_told_before_the_commit() -> None:
    files = MemoryFiles()

    def refuse(_kind: str, _name: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    files.before = refuse
    with pytest.raises(PermissionError), Plan(Mailboxes(files, MemoryJournal(), Clock()), files) as plan:
        plan.place(BOX, 10)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("most", [0, 2, 9])
def test_each_mailbox_is_open_once_up_to_a_limit_and_none_is_left_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(plan_module, "_KEPT_OPEN", most)
    files = DiskFiles(folder)
    boxes = [f"{name}@b.example" for name in "abcd"]
    before = _open_files()
    with Plan(Mailboxes(files, MemoryJournal(), Clock()), files) as plan:
        for box in boxes * 2:
            plan.placed([plan.place(box, 10)])
        assert _open_files() == before + min(most, 4)
    assert _open_files() == before


def test_a_mailbox_whose_entry_was_refused_is_not_opened_again() -> None:
    files, opened = MemoryFiles({BOX: b"by hand"}), []
    files.before = lambda kind, name: opened.append(name) if kind == "open" else None
    with Plan(Mailboxes(files, MemoryJournal(), Clock()), files) as plan:
        places = [plan.place(BOX, 10) for _ in range(2)]
    assert places[0] == places[1]
    assert opened == [BOX]


@pytest.mark.parametrize("most", [0, 1, 9])
@pytest.mark.parametrize("fails", [True, False])
def test_no_batch_leaves_a_mailbox_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch, most: int, fails: bool
) -> None:
    def fail() -> None:
        raise JournalError("the commit failed")

    monkeypatch.setattr(plan_module, "_KEPT_OPEN", most)
    boxes = tuple(f"{name}@b.example" for name in "abcd")
    journal, executor = MemoryJournal(), InlineExecutor()
    store = AskedStore(journal, DiskFiles(folder), FixedUsers(*boxes), executor, lambda: NOW, Clock())
    store.recover("boot")
    before = _open_files()
    if fails:
        journal.fail = fail
    # Refused once its first mailbox is open, for the second cannot be; others are for the first mailbox then.
    (folder / "d@b.example.txt").mkdir()
    to = [("a@b.example", "d@b.example"), boxes[:3], ("a@b.example", "d@b.example"), boxes[:1]]
    asks = [Ask(n, NOW, Deliver(f"s.{n}", NOW, "", each, b"", 0, b"text\n")) for n, each in enumerate(to)]
    kinds = [outcome.__class__ for outcome in store.answer(asks)]
    assert kinds == ([Failed] * 4 if fails else [Failed, Delivered, Failed, Delivered])
    assert _open_files() == before


def _renderings() -> int:
    return sum(isinstance(each, Rendering) for each in gc.get_objects())


def test_of_a_batch_that_failed_nothing_is_kept() -> None:
    def fail() -> None:
        raise JournalError("the commit failed")

    journal = MemoryJournal()
    store = AskedStore(journal, MemoryFiles(), FixedUsers(BOX), InlineExecutor(), lambda: NOW, Clock())
    store.recover("boot")
    journal.fail = fail
    asks = [Ask(n, NOW, Deliver(f"s.{n}", NOW, "", (BOX,), b"", 0, b"text\n")) for n in range(3)]
    gc.collect()
    gc.disable()
    try:
        before = _renderings()
        store.answer(asks)
        assert _renderings() == before
    finally:
        gc.enable()
