"""What waits for a mailbox is in it once, in order and whole, whatever the disk and other programs do meanwhile."""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailbox_store.mailboxes import mailboxes, plan, visit, writing
from mailbox_store.mailboxes.mailboxes import Mailboxes
from tests.mailbox_store.fakes import NOW, AskedStore, Clock, FixedUsers, HeldExecutor, MemoryFiles, MemoryJournal
from wire.messages import Ask, Deliver, Stage
from wire.outcomes import Delivered, Failed

A, B = "a@b.example", "b@b.example"
_MAIL = re.compile(rb"\tby y id s-(\d+)\.1; date\nSubject: m\n\n(x*)\n\n")


def _fail(number: int = errno.EIO) -> None:
    raise OSError(number, "the disk says no")


class Bench:
    """A store over fakes, which can be killed."""

    def __init__(self) -> None:
        self.journal, self.files, self.clock = MemoryJournal(), MemoryFiles(), Clock()
        self.number = 0
        self.octets: dict[int, int] = {}
        # Whether the disk syncs what it is told to.
        self.syncs = True
        self.start()

    def start(self) -> None:
        """A new process on what the last one left."""
        self.executor = HeldExecutor()
        self.store = AskedStore(self.journal, self.files, FixedUsers(A, B), self.executor, lambda: NOW, self.clock)
        self.store.recover("boot")

    @property
    def boxes(self) -> Mailboxes:
        return self.store._mailboxes

    def deliver(self, *to: str, octets: int = 10, pieces: int = 0) -> int:
        self.number += 1
        self.octets[self.number] = octets
        name, text = f"s-{self.number}.1", b"Subject: m\n\n" + octets * b"x" + b"\n"
        step = -(-len(text) // pieces) if pieces else len(text)
        places = range(0, len(text), step) if pieces else ()
        asks = [Ask(1, NOW, Stage(name, place, text[place : place + step])) for place in places]
        rest = b"" if pieces else text
        trace = f"Received: from x\n\tby y id {name}; date\n".encode()
        deliver = Deliver(name, NOW, "s@e", to or (A,), trace, len(text) - len(rest), rest)
        assert self.store.answer([*asks, Ask(1, NOW, deliver)])[-1] == Delivered(False)
        return self.number

    def tick(self, seconds: float = 0.1) -> None:
        self.clock.now += seconds
        self.store.tick()
        if self.syncs:
            self.executor.run()

    def settle(self) -> None:
        """Until there is nothing left to do; the disk is well."""
        self.files.before = lambda _kind, _name: None
        self.files.locked = set()
        self.syncs = True
        for _ in range(2000):
            self.tick()
            if not self.store.busy:
                assert not self.journal.state.messages
                return
        raise AssertionError("what waits does not come to an end")

    def at(self, wanted: str, do: Callable[[], None], count: int = 1) -> None:
        """Have something done at that operation on A, the first times that it comes."""

        def before(kind: str, name: str) -> None:
            nonlocal count
            if count and (kind, name) == (wanted, A):
                count -= 1
                do()

        self.files.before = before

    def numbers(self, box: str = A, content: bytes | None = None) -> list[int]:
        """The mails that a mailbox has whole."""
        there = bytes(self.files.content.get(box, b"")) if content is None else content
        found = [(int(number), len(text)) for number, text in _MAIL.findall(there)]
        return [number for number, octets in found if octets == self.octets[number]]


@contextmanager
def _portions_of(octets: int) -> Iterator[None]:
    """Nothing is appended at once, and little at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_AT_ONCE", 0)
        patch.setattr(mailboxes, "_PORTION", octets)
        patch.setattr(visit, "_OCTETS", octets)
        patch.setattr(writing, "_TOGETHER", octets)
        yield


# ------------------------------------------------------------ a close that fails


@pytest.mark.parametrize("kept", [0, 1, 50, 10_000])
@pytest.mark.parametrize("waits", [False, True])
def test_what_a_failed_close_may_have_lost_is_written_again(kept: int, waits: bool) -> None:
    bench = Bench()
    bench.deliver()
    bench.settle()
    size = len(bench.files.content[A])

    def lose() -> None:
        # Write-back file systems say so when a file is closed, and drop what they could not keep.
        del bench.files.content[A][size + kept :]
        _fail(errno.EDQUOT)

    if waits:
        bench.files.locked = {A}
        bench.deliver()
        bench.files.locked = set()
    bench.at("close", lose)
    if waits:
        bench.tick()
    else:
        bench.deliver()
    # And the next mail is taken at once.
    assert bench.deliver() == 3
    bench.settle()
    assert bench.numbers() == [1, 2, 3]


def test_a_close_that_fails_is_told_of_all_that_was_not_synced_yet() -> None:
    bench = Bench()
    bench.deliver()
    bench.files.log.clear()

    def fail(kind: str, name: str) -> None:
        if (kind, name) == ("open", B):
            raise PermissionError(errno.EACCES, "Permission denied")
        if kind == "close":
            bench.files.before = lambda _kind, _name: None
            _fail()

    # Nobody writes through this one, but the error of what was written before is told to it, and to nobody else.
    bench.files.before = fail
    (refused,) = bench.store.answer([Ask(1, NOW, Deliver("refused.1", NOW, "", (A, B), b"", 0, b""))])
    assert isinstance(refused, Failed)
    bench.settle()
    assert [operation[:2] for operation in bench.files.log].count(("write", A)) == 1
    assert bench.numbers() == [1]


def test_a_close_that_fails_again_and_again_is_tried_ever_more_seldom() -> None:
    bench = Bench()
    closed = 0

    def count() -> None:
        nonlocal closed
        closed += 1
        _fail()

    bench.at("close", count, 10**6)
    bench.deliver()
    for _ in range(1000):
        bench.tick(0.1)
    assert 10 < closed < 150
    assert bench.journal.state.messages
    bench.settle()
    assert bench.numbers() == [1]


# ------------------------------------------------------------ delivered mail does not come back


@pytest.mark.parametrize("how", ["killed", "sync failed"])
@pytest.mark.parametrize("moment", ["lock", "size", "close"])
def test_what_was_moved_away_does_not_come_back_however_often_it_is_looked_for(how: str, moment: str) -> None:
    bench = Bench()
    for _ in range(5):
        bench.deliver()
    bench.syncs = how == "sync failed"
    bench.at("sync", _fail)
    bench.tick(0.01)
    bench.tick(0.05)
    assert all(pending.appended for pending in bench.journal.pending())
    assert bench.boxes.busy == bench.syncs
    archive = bytes(bench.files.content[A])
    # Its user moves it away, and there is a new one.
    bench.files.content[A] = bytearray(b"a new beginning\n\n")

    def replace() -> None:
        bench.files.content[A] = bytearray(b"another new beginning\n\n")
        if moment == "close":
            _fail()

    if moment == "size":
        _at_size(bench, replace)
    else:
        bench.at(moment, replace, 3)
    if how == "killed":
        bench.start()
    for _ in range(200):
        bench.tick()
    bench.settle()
    assert bench.numbers(content=archive) == [1, 2, 3, 4, 5]
    assert bench.numbers() == []
    # What was not there yet does come.
    assert bench.deliver() == 6
    bench.settle()
    assert bench.numbers() == [6]


def _at_size(bench: Bench, do: Callable[[], None]) -> None:
    """Have something done while the mailbox is looked at."""
    handle = type(bench.files.open(A))
    original, done = handle.size, False

    def size(self: object) -> int:
        nonlocal done
        if not done:
            done = True
            do()
        return original(self)  # type: ignore[arg-type]

    handle.size = size  # type: ignore[method-assign]
    before = bench.settle

    def settle() -> None:
        handle.size = original  # type: ignore[method-assign]
        before()

    bench.settle = settle  # type: ignore[method-assign]


# ------------------------------------------------------------ portions


@pytest.mark.parametrize("edit", ["behind", "emptied", "replaced", "removed"])
def test_a_program_that_heeds_no_lock_in_the_middle_of_a_copy_harms_no_mail(edit: str) -> None:
    with _portions_of(1):
        bench = Bench()
        bench.deliver(pieces=5, octets=500)
        bench.tick()
        bench.tick()
        before = bench.files.content[A]
        assert 0 < len(before) < 500
        if edit == "behind":
            bench.files.content[A] += b"a note\n"
        elif edit == "emptied":
            del bench.files.content[A][:]
        elif edit == "replaced":
            bench.files.content[A] = bytearray(b"a new beginning\n\n")
        else:
            del bench.files.content[A]
        bench.settle()
    text = bytes(bench.files.content[A])
    assert text.count(500 * b"x") == 1
    if edit == "behind":
        assert text.count(b"a note\n") == 1
    else:
        # Somebody may have moved it away, to read it there: it has no mail that comes again.
        assert not before or before is bench.files.content[A]


def test_mail_that_is_written_as_its_mailbox_is_moved_away_is_not_in_both() -> None:
    bench = Bench()
    bench.deliver()
    moved = bench.files.content[A]
    kept = bytes(moved)
    bench.at("append", lambda: bench.files.content.update({A: bytearray()}))
    bench.deliver()
    bench.settle()
    assert bytes(moved) == kept
    assert bench.numbers() == [2]


def test_the_journal_is_told_of_what_recovery_appends_before_that_goes_on() -> None:
    bench = Bench()
    bench.files.locked.add(A)
    for _ in range(6):
        bench.deliver()
    bench.syncs = False
    bench.start()
    bench.files.locked.clear()
    with _portions_of(1):
        while len(bench.numbers()) < 6:
            bench.tick()
            told = sum(pending.appended for pending in bench.journal.state.entries.values())
            # Those of a visit, and of the pause before the journal is told. A process that is killed here leaves no
            # more in doubt, and what their user removes by then would come again.
            assert len(bench.numbers()) - told <= 2
    bench.settle()
    assert bench.numbers() == [1, 2, 3, 4, 5, 6]


def test_what_recovery_has_to_append_is_counted_once_however_often_it_is_tried() -> None:
    bench = Bench()
    bench.files.locked.add(A)
    for _ in range(3):
        bench.deliver()
    bench.start()
    bench.files.locked.clear()
    bench.files.room = 100
    for _ in range(20):
        bench.tick()
    assert bench.boxes.waiting
    bench.files.room = None
    bench.settle()
    assert bench.numbers() == [1, 2, 3]
    assert bench.boxes.settled.appended == 3


def test_mail_for_a_mailbox_that_is_being_looked_through_waits_behind_it_and_other_mail_does_not() -> None:
    bench = Bench()
    bench.files.content[A] = bytearray(b"From x\n\n" + 200 * (b"old" * 1000 + b"\n"))
    for _ in range(3):
        bench.deliver()
    bench.syncs = False
    bench.tick(0.01)
    bench.tick(0.05)
    # Its user removes old mail, and the process is killed.
    del bench.files.content[A][1000:5000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailbox_store.mailboxes.evidence._WINDOW", 1000)
        patch.setattr("mailbox_store.recovery._AT_START", -1.0)
        patch.setattr(mailboxes, "_PORTION", 3000)
        bench.start()
        assert bench.deliver() == 4
        bench.tick(0.01)
        assert bench.boxes.in_doubt
        assert bench.deliver(B) == 5
        assert bench.numbers(B) == [5]
        assert bench.numbers() == [1, 2, 3]
        bench.settle()
    assert bench.numbers() == [1, 2, 3, 4]


def test_entries_in_doubt_of_an_edited_mailbox_are_found_in_one_pass() -> None:
    bench = Bench()
    bench.files.content[A] = bytearray(b"From x\n\n" + 3000 * (b"old" * 100 + b"\n"))
    for _ in range(100):
        bench.deliver()
    bench.syncs = False
    bench.tick(0.01)
    bench.tick(0.05)
    del bench.files.content[A][1000:5000]
    size, read = len(bench.files.content[A]), 0
    handle = type(bench.files.open(A))
    original = handle.read

    def count(self: object, offset: int, octets: int) -> bytes:
        nonlocal read
        data = original(self, offset, octets)  # type: ignore[arg-type]
        read += len(data)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handle, "read", count)
        bench.start()
        bench.settle()
    assert bench.numbers() == list(range(1, 101))
    # Once through the file, and a little behind each mark.
    assert read < 2 * size


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.sampled_from([(A,), (B,), (A, B)]), st.integers(0, 400)),
        st.tuples(st.just("large"), st.sampled_from([(A,), (A, B)]), st.integers(0, 400)),
        st.tuples(st.just("lock"), st.booleans(), st.just(0)),
        st.tuples(st.just("note"), st.just(True), st.integers(1, 20)),
        st.tuples(
            st.just("fail"), st.sampled_from(["append", "write_at", "close", "sync", "truncate"]), st.integers(1, 3)
        ),
        st.tuples(st.just("disk"), st.booleans(), st.integers(0, 300)),
        st.tuples(st.just("copy"), st.sampled_from(["append", "lock", "write_at", "close"]), st.integers(1, 3)),
        st.tuples(st.just("kill"), st.just(True), st.just(0)),
        st.tuples(st.just("tick"), st.just(True), st.integers(1, 50)),
    ),
    max_size=25,
)


def _do(bench: Bench, step: tuple[str, object, int], notes: list[bytes]) -> None:
    kind, what, number = step
    if kind in ("deliver", "large"):
        bench.deliver(*what, octets=number, pieces=3 * (kind == "large"))  # type: ignore[misc]
    elif kind == "lock":
        bench.files.locked = {A} if what else set()
    elif kind == "note" and not bench.boxes._visits:
        # Under the lock, as a mail reader does.
        notes.append(f"note {len(notes)}".encode() * number + b"\n\n")
        bench.files.content.setdefault(A, bytearray()).extend(notes[-1])
    elif kind == "disk":
        bench.files.room = number if what else None
        bench.syncs = not what
    elif kind == "fail":
        bench.at(str(what), _fail, number)
    elif kind == "copy":
        bench.at(str(what), lambda: bench.files.content.update({A: bytearray(bench.files.content[A])}), number)
    elif kind == "kill":
        bench.files.before = lambda _kind, _name: None
        bench.start()
    for _ in range(number if kind == "tick" else 0):
        bench.tick(0.05)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, portion=st.sampled_from([1, 100, 10**6]))
def test_every_mail_is_there_once_in_order_and_whole_whatever_happens(
    steps: list[tuple[str, object, int]], portion: int
) -> None:
    with _portions_of(portion):
        bench, notes = Bench(), list[bytes]()
        sent: dict[str, list[int]] = {A: [], B: []}
        for step in steps:
            before = bench.number
            _do(bench, step, notes)
            if bench.number > before:
                for box in step[1]:  # type: ignore[attr-defined]
                    sent[box].append(bench.number)
        bench.files.room = None
        bench.settle()
        assert bench.boxes.promised == 0
        assert bench.boxes.unsynced == 0
    for box, numbers in sent.items():
        assert Counter(bench.numbers(box)) == Counter(numbers)
        assert bench.numbers(box) == numbers
    content = bytes(bench.files.content.get(A, b""))
    assert all(content.count(note) >= 1 for note in notes)
