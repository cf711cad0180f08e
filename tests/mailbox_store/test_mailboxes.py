"""Planning and appending: locks, errors and edits in between."""

from __future__ import annotations

import errno

import pytest

from mailbox_store.files import Handle
from mailbox_store.journal import Entry, Message
from mailbox_store.mailboxes import Mailboxes
from mailbox_store.plan import Plan
from mailbox_store.rendering import Rendering
from tests.mailbox_store.fakes import Clock, MemoryFiles, MemoryJournal

BOX = "a@b.example"


class Bench:
    """Mailboxes over fakes, and deliveries to one of them."""

    def __init__(self, content: bytes = b"") -> None:
        self.journal = MemoryJournal()
        self.files = MemoryFiles({BOX: content})
        self.clock = Clock()
        self.mailboxes = Mailboxes(self.files, self.journal, self.clock)
        self.handles: dict[str, Handle] = {}

    def commit(self, *names: str, octets: int = 0) -> list[tuple[Rendering, list[Entry]]]:
        """Plan and commit; the mailbox stays open, as it does in the store."""
        plan = Plan(self.mailboxes)
        batch = []
        for name in names:
            text = f"Subject: {name}\n{octets * 'x'}\n".encode()
            message = Message(name, 0, "s@e", f"Received: id {name};\n".encode(), 0, text)
            rendering = Rendering(self.journal, message)
            place = plan.place(BOX, len(rendering.head(BOX)) + rendering.text_length())
            with self.journal.transaction():
                batch.append((rendering, self.journal.add(message, [place])))
            plan.placed([place])
        self.handles = plan.handles
        return batch

    def deliver(self, *names: str, octets: int = 0) -> None:
        self.append(self.commit(*names, octets=octets))

    def append(self, batch: list[tuple[Rendering, list[Entry]]]) -> None:
        self.mailboxes.append(batch, self.handles)

    def writes(self) -> list[int]:
        """The octets of each write since this was last asked."""
        sizes = [len(operation[3]) for operation in self.files.log if operation[0] == "write"]
        self.files.log.clear()
        return sizes

    @property
    def content(self) -> bytes:
        return bytes(self.files.content[BOX])

    def subjects(self) -> list[str]:
        return [line[9:].decode() for line in self.content.split(b"\n") if line.startswith(b"Subject: ")]


def test_a_locked_mailbox_gets_its_entries_in_order_when_it_is_free() -> None:
    bench = Bench()
    bench.files.locked = {BOX}
    bench.deliver("one")
    bench.deliver("two")
    assert (bench.content, bench.mailboxes.waiting) == (b"", 2)
    bench.files.locked = set()
    bench.deliver("three")
    bench.mailboxes.retry()
    assert bench.content == b""
    bench.clock.now += 0.06
    bench.mailboxes.retry()
    assert bench.subjects() == ["one", "two", "three"]
    assert bench.mailboxes.waiting == 0


def test_an_edit_after_the_commit_moves_the_entry_in_the_journal_before_the_file() -> None:
    bench = Bench(b"old\n\n")
    batch = bench.commit("one")
    bench.files.content[BOX][:] = b"a much longer text by its user"
    seen: list[int] = []
    bench.files.before = lambda kind, _name: (
        seen.append(bench.journal.pending()[0].entry.start) if kind == "append" else None
    )
    bench.append(batch)
    assert seen == [30]
    assert bench.journal.pending()[0].entry.lead == 2
    assert bench.content.startswith(b"a much longer text by its user\n\nFrom s@e ")


def test_a_full_disk_leaves_no_part_and_the_entry_waits() -> None:
    bench = Bench(b"old\n\n")
    bench.files.room = 20
    bench.deliver("one")
    assert (bench.content, bench.mailboxes.waiting) == (b"old\n\n", 1)
    bench.files.room = None
    bench.clock.now += 0.2
    bench.mailboxes.retry()
    assert bench.subjects() == ["one"]


def test_a_part_that_could_not_be_taken_back_is_completed() -> None:
    bench = Bench(b"old\n\n")
    bench.files.room = 20

    def refuse(kind: str, _name: str) -> None:
        if kind == "truncate":
            raise OSError(errno.EIO, "Input/output error")

    bench.files.before = refuse
    bench.deliver("one")
    assert len(bench.content) == 25
    bench.files.room = None
    bench.clock.now += 0.2
    bench.mailboxes.retry()
    assert bench.subjects() == ["one"]
    assert bench.content.count(b"From s@e") == 1


def test_what_another_wrote_behind_a_part_is_never_cut() -> None:
    bench = Bench(b"old\n\n")
    batch = bench.commit("one")
    calls = 0

    def interfere(kind: str, _name: str) -> None:
        nonlocal calls
        if kind == "append":
            calls += 1
            if calls == 2:
                bench.files.content[BOX].extend(b"by another")
                raise OSError(errno.EIO, "Input/output error")

    bench.files.before = interfere
    bench.files.room = 1000
    write = type(bench.files.open(BOX)).write_at
    handle_type = type(bench.files.open(BOX))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handle_type, "append", lambda self, data: write(self, self.size(), data[:10], "append"))
        bench.append(batch)
        assert b"by another" in bench.content
    bench.files.before = lambda _kind, _name: None
    bench.clock.now += 0.2
    bench.mailboxes.retry()
    assert b"by another" in bench.content
    assert bench.subjects() == ["one"]


def test_the_entries_of_a_batch_are_one_write_for_each_mailbox() -> None:
    bench = Bench(b"by hand")
    bench.deliver("one", "two", "three")
    assert bench.subjects() == ["one", "two", "three"]
    assert bench.writes() == [len(bench.content) - len(b"by hand")]
    assert [pending.entry.number for pending in bench.journal.pending()] == [1, 2, 3]
    assert len(bench.mailboxes.unmarked) == 3


def test_entries_that_were_planned_for_other_places_are_moved_and_written_together() -> None:
    bench = Bench(b"old\n\n")
    batch = bench.commit("one", "two")
    bench.files.content[BOX] += b"a note"
    bench.append(batch)
    (size,) = bench.writes()
    assert bench.content[-size:].startswith(b"\n\nFrom s@e ")
    places = [pending.entry for pending in bench.journal.pending()]
    assert [places[0].start, places[1].start] == [11, 11 + places[0].length]
    assert sum(entry.length for entry in places) == size


@pytest.mark.parametrize("room", [0, 1, 150, 10_000, 10_250, 20_000])
@pytest.mark.parametrize("cut", [True, False])
def test_a_disk_that_fills_up_in_a_batch_gets_each_entry_once_and_whole(room: int, cut: bool) -> None:
    bench = Bench(b"old\n\n")
    bench.files.room = room

    def refuse(kind: str, _name: str) -> None:
        if kind == "truncate" and not cut:
            raise OSError(errno.EIO, "Input/output error")

    bench.files.before = refuse
    bench.deliver("one", "two", "three", octets=10_000)
    assert bench.mailboxes.waiting == 3
    assert len(bench.content) == 5 + (0 if cut else room)
    # There is room for two of them, and what does not fit waits alone.
    bench.files.room = 21_000 - (0 if cut else room)
    bench.clock.now += 0.2
    bench.mailboxes.retry()
    if cut:
        assert bench.subjects() == ["one", "two"]
    bench.files.room = None
    bench.clock.now += 1
    bench.mailboxes.retry()
    assert bench.subjects() == ["one", "two", "three"]
    assert bench.content.count(b"From s@e") == 3
    assert bench.mailboxes.waiting == 0


def test_errors_are_retried_with_growing_pauses() -> None:
    bench = Bench()
    tries = 0

    def broken(kind: str, _name: str) -> None:
        nonlocal tries
        if kind == "append":
            tries += 1
            raise OSError(errno.EIO, "Input/output error")

    bench.files.before = broken
    bench.deliver("one")
    for _ in range(1000):
        bench.clock.now += 0.1
        bench.mailboxes.retry()
    assert 15 < tries < 40
    assert bench.mailboxes.waiting == 1


def test_entries_that_could_not_be_synced_are_written_again_in_place() -> None:
    bench = Bench(b"old\n\n")
    bench.deliver("one")
    before, entries = bench.content, bench.mailboxes.dirty.pop(BOX)
    bench.mailboxes.doubt(BOX, entries)
    bench.files.log.clear()
    bench.mailboxes.retry(all_now=True)
    assert bench.content == before
    assert bench.files.log == [("write", BOX, 5, before[5:])]
    assert bench.mailboxes.dirty == {BOX: entries}


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("moment", ["lock", "append"])
def test_a_mailbox_that_is_replaced_meanwhile_gets_its_entry_once(moment: str, copied: bool) -> None:
    bench = Bench(b"old\n\n")

    def replace_it(kind: str, name: str) -> None:
        if kind == moment:
            bench.files.before = lambda _kind, _name: None
            bench.files.content[name] = bytearray(b"new\n\n")

    bench.files.before = replace_it
    bench.deliver("one")
    if copied and moment == "append":
        # The program that replaced it had read the entry.
        bench.files.content[BOX] += bytes(bench.mailboxes._rendering(bench.journal.pending()[0].entry).head(BOX))
        bench.files.content[BOX] += b"Subject: one\nStatus: RO\n\n"
    assert bench.mailboxes.waiting == 1
    assert not bench.mailboxes.unmarked
    bench.clock.now += 0.06
    bench.mailboxes.retry()
    assert bench.content.startswith(b"new\n\nFrom s@e ")
    assert bench.subjects() == ["one"]
    assert (bench.mailboxes.waiting, len(bench.mailboxes.unmarked)) == (0, 1)


def test_a_mailbox_that_is_replaced_after_the_plan_is_not_written_to_under_its_old_name() -> None:
    bench = Bench(b"old\n\n")
    batch = bench.commit("one", "two")
    old = bench.files.content[BOX]
    bench.files.content[BOX] = bytearray(b"new\n\n")
    bench.append(batch)
    assert (bytes(old), bench.content, bench.mailboxes.waiting) == (b"old\n\n", b"new\n\n", 2)
    bench.clock.now += 0.06
    bench.mailboxes.retry()
    assert bytes(old) == b"old\n\n"
    assert bench.content.startswith(b"new\n\nFrom s@e ")
    assert bench.subjects() == ["one", "two"]


def test_a_mailbox_is_opened_once_for_plan_and_append_and_not_where_others_wait() -> None:
    bench = Bench()
    opened: list[str] = []
    bench.files.before = lambda kind, name: opened.append(name) if kind == "open" else None
    bench.deliver("one")
    assert (opened, bench.handles) == ([BOX], {})
    bench.files.locked = {BOX}
    bench.deliver("two")
    bench.deliver("three")
    # The plan closes what was not taken out of it.
    assert (opened, list(bench.handles), bench.mailboxes.waiting) == ([BOX] * 3, [BOX], 2)


def test_a_mailbox_is_caught_up_in_portions_wherever_its_end_is() -> None:
    bench = Bench()
    bench.files.locked = {BOX}
    for number in range(1100):
        bench.deliver(str(number))
    bench.files.locked = set()
    bench.files.content[BOX] += b"a note by its user"
    bench.clock.now += 0.06
    left = []
    while bench.mailboxes.waiting:
        bench.mailboxes.retry()
        left.append(bench.mailboxes.waiting)
    assert left == [600, 100, 0]
    assert bench.subjects() == [str(number) for number in range(1100)]
