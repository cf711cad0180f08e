"""Planning and appending: locks, errors and edits in between."""

from __future__ import annotations

import errno

import pytest

from mailbox_store.journal.journal import HeldEntry, HeldMessage
from mailbox_store.mailboxes import mailboxes as module
from mailbox_store.mailboxes import plan as plan_module
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.mailboxes.plan import Plan
from mailbox_store.mailboxes.rendering import Rendering
from tests.mailbox_store.fakes import Clock, MemoryFiles, MemoryJournal

BOX, OTHER = "a@b.example", "other@b.example"
MIB = 1024 * 1024


class Bench:
    """Mailboxes over fakes, and deliveries to them."""

    def __init__(self, content: bytes = b"") -> None:
        self.journal = MemoryJournal()
        self.files = MemoryFiles({BOX: content})
        self.clock = Clock()
        self.mailboxes = Mailboxes(self.files, self.journal, self.clock)
        self.plan = Plan(self.mailboxes, self.files)

    def commit(
        self, *names: str, octets: int = 0, to: str | list[str] = BOX, staged: int = 0
    ) -> list[tuple[Rendering, list[HeldEntry]]]:
        """Plan and commit; the mailboxes stay open, as they do in the store.

        :param staged: the text comes in pieces of so many octets.
        """
        plan = self.plan = Plan(self.mailboxes, self.files)
        boxes = [to] if isinstance(to, str) else to
        batch = []
        for name in names:
            text = f"Subject: {name}\n{octets * 'x'}\n".encode()
            with self.journal.transaction():
                for place in range(0, len(text) if staged else 0, staged or 1):
                    self.journal.stage(name, place, text[place : place + staged], 1)
            trace = f"Received: id {name};\n".encode()
            message = HeldMessage(name, 0, "s@e", trace, len(text) if staged else 0, b"" if staged else text)
            rendering = Rendering(self.journal, message)
            length = rendering.text_length()
            places = [plan.place(box, len(rendering.head(box)) + length) for box in boxes]
            with self.journal.transaction():
                batch.append((rendering, self.journal.add(message, places)))
            plan.placed(places)
        return batch

    def deliver(self, *names: str, octets: int = 0, to: str | list[str] = BOX, staged: int = 0) -> None:
        self.append(self.commit(*names, octets=octets, to=to, staged=staged))

    def append(self, batch: list[tuple[Rendering, list[HeldEntry]]]) -> None:
        with self.plan as plan:
            plan.append(batch)

    def writes(self) -> list[int]:
        """The octets of each write since this was last asked."""
        sizes = [len(operation[3]) for operation in self.files.log if operation[0] == "write"]
        self.files.log.clear()
        return sizes

    @property
    def content(self) -> bytes:
        return bytes(self.files.content[BOX])

    def subjects(self, box: str = BOX) -> list[str]:
        lines = bytes(self.files.content.get(box, b"")).split(b"\n")
        return [line[9:].decode() for line in lines if line.startswith(b"Subject: ")]


def test_a_locked_mailbox_gets_its_entries_in_order_when_it_is_free() -> None:
    bench = Bench()
    bench.files.locked = {BOX}
    bench.deliver("one")
    bench.deliver("two")
    bench.mailboxes.step()
    assert (bench.content, bench.mailboxes.waiting) == (b"", 2)
    bench.files.locked = set()
    bench.deliver("three")
    bench.mailboxes.step()
    assert bench.content == b""
    bench.clock.now += 0.06
    bench.mailboxes.step()
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
    bench.mailboxes.step()
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
    bench.mailboxes.step()
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
    bench.mailboxes.step()
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
    bench.mailboxes.step()
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
    bench.mailboxes.step()
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
    bench.mailboxes.step()
    assert bench.mailboxes.waiting == 3
    assert len(bench.content) == 5 + (0 if cut else room)
    # There is room for two of them, and what does not fit waits alone.
    bench.files.room = 21_000 - (0 if cut else room)
    bench.clock.now += 0.2
    bench.mailboxes.step()
    if cut:
        assert bench.subjects() == ["one", "two"]
    bench.files.room = None
    bench.clock.now += 1
    bench.mailboxes.step()
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
        bench.mailboxes.step()
    assert 15 < tries < 40
    assert bench.mailboxes.waiting == 1


def test_entries_that_could_not_be_synced_are_written_again_in_place() -> None:
    bench = Bench(b"old\n\n")
    bench.deliver("one")
    before, unsynced = bench.content, bench.mailboxes.begin_sync()
    assert bench.mailboxes.end_sync(unsynced, {BOX}) == []
    bench.files.log.clear()
    bench.mailboxes.hurry()
    bench.mailboxes.step()
    assert bench.content == before
    assert bench.files.log == [("write", BOX, 5, before[5:])]
    assert bench.mailboxes.dirty == unsynced.entries
    assert bench.mailboxes.end_sync(bench.mailboxes.begin_sync(), ()) == unsynced.entries[BOX]


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
        bench.files.content[BOX] += bytes(bench.mailboxes._rendering(1).head(BOX))
        bench.files.content[BOX] += b"Subject: one\nStatus: RO\n\n"
    assert bench.mailboxes.waiting == 1
    assert not bench.mailboxes.unmarked
    bench.clock.now += 0.06
    bench.mailboxes.step()
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
    bench.mailboxes.step()
    assert bytes(old) == b"old\n\n"
    assert bench.content.startswith(b"new\n\nFrom s@e ")
    assert bench.subjects() == ["one", "two"]


def test_a_mailbox_is_opened_once_for_plan_and_append_and_not_where_others_wait() -> None:
    bench = Bench()
    done: list[str] = []
    bench.files.before = lambda kind, _name: done.append(kind) if kind in ("open", "close") else None
    bench.deliver("one")
    assert done == ["open", "close"]
    bench.files.locked = {BOX}
    bench.deliver("two")
    bench.deliver("three")
    assert (done, bench.mailboxes.waiting) == (["open", "close"] * 3, 2)


def test_a_mailbox_is_caught_up_in_portions_wherever_its_end_is() -> None:
    bench = Bench()
    bench.files.locked = {BOX}
    for number in range(1100):
        bench.deliver(str(number))
    bench.files.locked = set()
    bench.files.content[BOX] += b"a note by its user"
    bench.clock.now += 0.06
    bench.mailboxes.step()
    assert bench.subjects() == [str(number) for number in range(1100)]
    # One commit corrects the places of all that are written together.
    assert len(bench.writes()) == 3


def test_what_a_batch_has_at_once_is_bounded_and_small_mail_is_among_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_AT_ONCE", 10_000)
    bench = Bench()
    bench.deliver("large", octets=10_000)
    assert (bench.subjects(), bench.mailboxes.waiting, bench.mailboxes.at_work) == ([], 1, True)
    # In its mailbox nothing overtakes it.
    bench.deliver("behind")
    assert (bench.subjects(), bench.mailboxes.waiting) == ([], 2)
    bench.deliver("other", to=OTHER)
    assert (bench.subjects(OTHER), bench.mailboxes.waiting) == (["other"], 2)
    bench.mailboxes.step()
    assert (bench.subjects(), bench.mailboxes.waiting, bench.mailboxes.busy) == (["large", "behind"], 0, False)


def test_what_a_batch_has_at_once_is_bounded_in_time_too() -> None:
    bench = Bench()

    def slow(kind: str, _name: str) -> None:
        if kind == "append":
            bench.clock.now += 0.15

    bench.files.before = slow
    batch = [bench.commit(str(number), to=f"{number}@b.example")[0] for number in range(5)]
    bench.append(batch)
    assert bench.mailboxes.waiting == 3
    bench.files.before = lambda _kind, _name: None
    bench.mailboxes.step()
    assert bench.mailboxes.waiting == 0


def test_a_portion_is_bounded_in_octets_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_AT_ONCE", 0)
    bench = Bench()
    for number in range(8):
        bench.deliver(str(number), octets=MIB, to=f"{number}@b.example")
    written = []
    while bench.mailboxes.at_work:
        bench.mailboxes.step()
        written.append(sum(bench.writes()))
    assert sum(written) > 8 * MIB
    assert max(written) < 4 * MIB
    for number in range(8):
        bench.deliver(f"again {number}", octets=MIB, to=f"{number}@b.example")
    bench.files.before = lambda _kind, _name: setattr(bench.clock, "now", bench.clock.now + 0.1)
    bench.mailboxes.step()
    assert sum(bench.writes()) < 2 * MIB


def test_a_small_message_does_not_wait_for_the_copies_of_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_AT_ONCE", 0)
    bench = Bench()
    boxes = [f"{number}@b.example" for number in range(50)]
    bench.deliver("large", octets=MIB, to=boxes)
    bench.mailboxes.step()
    bench.deliver("small", to=OTHER)
    # The visits under way come to their end before another begins.
    for _ in range(3):
        bench.mailboxes.step()
    assert bench.subjects(OTHER) == ["small"]
    assert bench.mailboxes.waiting > 30
    while bench.mailboxes.at_work:
        bench.mailboxes.step()
    assert all(bench.subjects(box) == ["large"] for box in boxes)


def test_no_more_is_appended_than_is_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_AT_ONCE", 0)
    monkeypatch.setattr(module, "_UNSYNCED", 3 * MIB)
    bench = Bench()
    bench.deliver("large", octets=MIB, to=[f"{number}@b.example" for number in range(20)])
    for _ in range(100):
        bench.mailboxes.step()
    assert (bench.mailboxes.full, bench.mailboxes.at_work) == (True, False)
    assert 3 * MIB <= sum(bench.writes()) < 8 * MIB
    bench.mailboxes.unsynced = 0
    bench.mailboxes.step()
    assert sum(bench.writes()) > 0


def test_a_reader_never_gets_the_lock_in_the_middle_of_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "_AT_ONCE", 0)
    monkeypatch.setattr(module, "_PORTION", 1)
    bench = Bench(b"old\n\n")
    held: list[str] = []
    bench.files.before = lambda kind, _name: held.append(kind) if kind in ("lock", "close") else None
    bench.deliver("large", octets=4 * MIB, staged=MIB)
    held.clear()
    while bench.mailboxes.at_work:
        bench.mailboxes.step()
        bench.mailboxes.step()
    # Taken before the first portion, seen to be there before each other, given back with the last one.
    assert held[0] == "lock"
    assert held.count("lock") == 5
    assert held[-1] == "close"
    assert held.count("close") == 1
