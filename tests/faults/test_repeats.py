"""What is asked twice is done once: the same delivery at every point of its way, on the real store and its disk."""

from __future__ import annotations

import fcntl
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from tests import mailboxes
from tests.conditions import wait_until
from tests.faults import programs
from tests.faults.peer import (
    USERS,
    StorePeer,
    deliver,
    now,
    store_alone,
    stored,
    stored_everywhere,
    wait_for_mail,
)
from tests.stack import Stack
from wire.messages import Ask, Discard, Question, Stage
from wire.outcomes import EXPIRED, TROUBLE, Delivered, Discarded, Failed, Staged

pytestmark = pytest.mark.stack

HOUR = 3_600_000
PIECE = (b"p" * 63 + b"\n") * 1024
END = b"the end\n"
LARGE = b"\n" + PIECE * 3 + END
SMALL = b"Subject: small\n\nFrom me\n"
AFTER_COMMIT = """
from mailbox_store.mailboxes import plan
def append(self, deliveries):
    die()
plan.Plan.append = append
"""


def large(name: str, time: int | None = None) -> list[Question]:
    """The questions of a message of three pieces and an end; the text of it is LARGE."""
    stages = [Stage(name, number * len(PIECE), PIECE) for number in range(3)]
    return [*stages, deliver(name, USERS, END, 3 * len(PIECE), time)]


def questions(name: str, kind: str) -> tuple[list[Question], bytes]:
    """All that is asked for one message, and its text as a mailbox shows it."""
    return (large(name), LARGE) if kind == "in pieces" else ([deliver(name, USERS, SMALL)], SMALL)


def dies(stack: Stack, where: str) -> None:
    """Wait until the store has died of what its program says, not of another error."""
    store = stack.processes["mailbox_store"]
    wait_until(lambda: store.poll() is not None, f"the store dies {where}")
    assert store.returncode == -signal.SIGKILL


SIZES = pytest.mark.parametrize("kind", ["small", "in pieces"])


_numbers = count(1)
Store: TypeAlias = tuple[Stack, StorePeer, str]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Stack, StorePeer]]:
    with tempfile.TemporaryDirectory(prefix="correio-") as name, store_alone(Path(name)) as both:
        yield both


@pytest.fixture
def store(running: tuple[Stack, StorePeer]) -> Store:
    """The store that several tests share, its mailboxes empty; a peer of it; the id of a new delivery."""
    stack, peer = running
    peer.ready()
    stack.clear()
    return stack, peer, f"s-{next(_numbers)}.1"


@SIZES
def test_a_delivery_repeated_in_one_batch_is_stored_once(store: Store, kind: str) -> None:
    stack, peer, name = store
    asked, text = questions(name, kind)
    outcomes = peer.ask(*asked, *asked, *asked)
    assert [outcome for outcome in outcomes if isinstance(outcome, Delivered)] == [
        Delivered(False),
        Delivered(True),
        Delivered(True),
    ]
    assert stored_everywhere(stack, USERS) == {name: text}


@SIZES
def test_a_delivery_repeated_by_another_worker_after_stops_and_kills_of_the_store_is_stored_once(
    store: Store, kind: str
) -> None:
    stack, peer, name = store
    with StorePeer(stack) as other:
        asked, text = questions(name, kind)
        assert peer.ask(*asked)[-1] == Delivered(False)
        assert other.ask(*asked)[-1] == Delivered(True)
        for end in (stack.terminate, stack.kill, stack.kill):
            end("mailbox_store")
            stack.start("mailbox_store")
            assert other.ask(*asked)[-1] == Delivered(True)
        assert stored_everywhere(stack, USERS) == {name: text}


# Where the store dies: a change of its modules that kills it there, once.
_DEATHS = {
    "before the commit": """
from mailbox_store.journal import sqlite_journal
def add(self, *args, real=sqlite_journal.SqliteJournal.add):
    real(self, *args)
    die()
sqlite_journal.SqliteJournal.add = add
""",
    "after the commit": AFTER_COMMIT,
    "after the first mailbox": """
from mailbox_store.mailboxes import plan
def append(self, mailbox, queue, real=plan.Plan._append_at_once):
    if queue[0][1].rank == 1:
        die()
    return real(self, mailbox, queue)
plan.Plan._append_at_once = append
""",
    "within an entry": """
from mailbox_store.mailboxes import files
def append(self, data, real=files.DiskHandle.append, calls=[0]):
    calls[0] += 1
    if calls[0] == 3:
        real(self, data[:1])
        die()
    return real(self, data)
files.DiskHandle.append = append
""",
    "before the answer": """
from mailbox_store import service
from wire.messages import Answer
from wire.outcomes import Delivered
def send(self, peer, messages, real=service.StoreService._send):
    if any(isinstance(each, Answer) and isinstance(each.outcome, Delivered) for each in messages):
        die()
    real(self, peer, messages)
service.StoreService._send = send
""",
    "after the mailboxes were synced": """
from mailbox_store import checkpoint
def record(self, real=checkpoint.Checkpoint.record):
    if self._synced:
        die()
    return real(self)
checkpoint.Checkpoint.record = record
""",
    "after the journal forgot the message": """
from mailbox_store import checkpoint
def recorded(self, synced, real=checkpoint.Checkpoint.recorded):
    if synced:
        die()
    real(self, synced)
checkpoint.Checkpoint.recorded = recorded
""",
}


@SIZES
@pytest.mark.parametrize("where", _DEATHS)
def test_a_delivery_repeated_after_the_store_died_is_stored_once(folder: Path, where: str, kind: str) -> None:
    with store_alone(folder, programs.store(_DEATHS[where], folder / "flag")) as (stack, peer):
        asked, text = questions("s-1.1", kind)
        peer.send(*(Ask(number, now() + 60_000, question) for number, question in enumerate(asked)))
        dies(stack, where)
        stack.start("mailbox_store")
        assert peer.ask(*asked)[-1] == Delivered(where != "before the commit")
        assert stored_everywhere(stack, USERS) == {"s-1.1": text}


_RECOVERY_DIES_AT_WRITE = """
from mailbox_store.mailboxes import files
calls = [0]
def dying(real):
    def write(self, *args):
        *place, data = args
        calls[0] += 1
        if calls[0] == {number}:
            real(self, *place, data[:len(data) // 2 + 1])
            die()
        return real(self, *args)
    return write
files.DiskHandle.append = dying(files.DiskHandle.append)
files.DiskHandle.write_at = dying(files.DiskHandle.write_at)
"""


@SIZES
def test_recovery_that_is_killed_again_and_again_stores_once(folder: Path, kind: str) -> None:
    with store_alone(folder, programs.store(AFTER_COMMIT, folder / "flag")) as (stack, peer):
        asked, text = questions("s-1.1", kind)
        peer.send(*(Ask(number, now() + 60_000, question) for number, question in enumerate(asked)))
        # The second of these finds an entry cut short, and is itself cut short while it completes it.
        for number in (1, 1, 2):
            dies(stack, "within an entry")
            dying = _RECOVERY_DIES_AT_WRITE.format(number=number)
            stack.start("mailbox_store", programs.store(dying, folder / "flag"))
        dies(stack, "within an entry")
        stack.start("mailbox_store")
        assert peer.ask(*asked)[-1] == Delivered(True)
        assert stored_everywhere(stack, USERS) == {"s-1.1": text}


@pytest.mark.long
@SIZES
def test_kill_9_at_any_moment_of_a_delivery_that_is_repeated_stores_it_once(folder: Path, kind: str) -> None:
    expected = {}
    known = 0
    with store_alone(folder) as (stack, peer):
        for moment in range(16):
            name = f"s-1.{moment}"
            asked, expected[name] = questions(name, kind)
            peer.ready()
            peer.send(*(Ask(number, now() + 60_000, question) for number, question in enumerate(asked)))
            # From before the questions are read (0 ms) until after their answer.
            until = time.perf_counter() + moment * 0.0005
            while time.perf_counter() < until:
                pass
            stack.kill("mailbox_store")
            stack.start("mailbox_store")
            outcome = peer.ask(*asked)[-1]
            assert isinstance(outcome, Delivered)
            known += outcome.repeat
        print(f"{known} of {len(expected)} deliveries were committed before the kill")
        wait_for_mail(stack, USERS, expected)


def test_pieces_may_come_twice_and_in_any_order(store: Store) -> None:
    stack, peer, name = store
    first, second, third, whole = large(name)
    for order in ([third], [first, first], [third, second], [second, first]):
        assert all(isinstance(outcome, Staged) for outcome in peer.ask(*order))
    assert peer.ask(whole) == [Delivered(False)]
    assert stored_everywhere(stack, USERS) == {name: LARGE}


def test_a_piece_that_comes_again_with_another_text_changes_nothing(store: Store) -> None:
    stack, peer, name = store
    first, second, third, whole = large(name)
    forged = Stage(name, 0, PIECE.swapcase())
    assert peer.ask(first, forged, second, third, whole)[-1] == Delivered(False)
    assert stored_everywhere(stack, USERS) == {name: LARGE}


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_piece_stores_nothing_until_it_is_there(store: Store, missing: int) -> None:
    stack, peer, name = store
    *stages, whole = large(name)
    late = stages.pop(missing)
    outcome = peer.ask(*stages, whole)[-1]
    assert isinstance(outcome, Failed)
    assert outcome.kind == TROUBLE
    assert stored_everywhere(stack, USERS) == {}
    assert peer.ask(late, whole)[-1] == Delivered(False)
    assert stored_everywhere(stack, USERS) == {name: LARGE}


def test_a_delivery_after_its_pieces_were_discarded_stores_nothing(store: Store) -> None:
    stack, peer, name = store
    *stages, whole = large(name)
    assert peer.ask(*stages, Discard(name))[-1] == Discarded()
    assert isinstance(peer.ask(whole)[0], Failed)
    assert stored_everywhere(stack, USERS) == {}
    assert peer.ask(*stages, whole)[-1] == Delivered(False)
    assert stored_everywhere(stack, USERS) == {name: LARGE}


def test_what_was_delivered_cannot_be_discarded_even_while_a_reader_holds_a_mailbox(store: Store) -> None:
    stack, peer, name = store
    peer.ready()
    with (stack.mailboxes / f"{USERS[0]}.txt").open("rb+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert peer.ask(*large(name))[-1] == Delivered(False)
        assert stored(stack, USERS[0]) == {}
        assert peer.ask(Discard(name), *large(name))[-1] == Delivered(True)
    wait_for_mail(stack, USERS, {name: LARGE})
    # A late piece of a message that is long done is acknowledged, and leaves nothing behind.
    stack.terminate("mailbox_store")
    stack.start("mailbox_store")
    assert all(isinstance(outcome, Staged) for outcome in peer.ask(*large(name)[:-1]))
    assert stored_everywhere(stack, USERS) == {name: LARGE}


@SIZES
def test_a_delivery_whose_deadline_has_passed_is_not_done_and_a_known_one_is_still_known(
    store: Store, kind: str
) -> None:
    stack, peer, name = store
    asked, text = questions(name, kind)
    for outcome in peer.ask(*asked, deadline=now() - 1):
        assert isinstance(outcome, Failed)
        assert outcome.kind == EXPIRED
    assert stored_everywhere(stack, USERS) == {}
    assert peer.ask(*asked)[-1] == Delivered(False)
    assert peer.ask(*asked, deadline=now() - 1)[-1] == Delivered(True)
    assert stored_everywhere(stack, USERS) == {name: text}


@pytest.mark.parametrize("hours", [-13, 13])
def test_a_delivery_of_a_time_that_the_ledger_cannot_vouch_for_is_refused(store: Store, hours: int) -> None:
    stack, peer, name = store
    when = now() + hours * HOUR
    for asked in ([deliver(name, USERS, SMALL, time=when)], large("s-1.2", when)):
        outcome = peer.ask(*asked)[-1]
        assert isinstance(outcome, Failed)
        assert outcome.kind == EXPIRED
    assert stored_everywhere(stack, USERS) == {}


# ---------------------------------------------------------------- through workers

_WORKER_DIES_AT_THE_ANSWER = """
from session_worker import service
from wire.messages import Answer
from wire.outcomes import Delivered
def on_store(self, peer, message, real=service.Service._on_store):
    if isinstance(message, Answer) and isinstance(message.outcome, Delivered) and once():
        die()
    real(self, peer, message)
service.Service._on_store = on_store
"""
_STORE_LOSES_AN_ANSWER = """
from mailbox_store import service
from wire.messages import Answer
from wire.outcomes import Delivered
def send(self, peer, messages, real=service.StoreService._send):
    if any(isinstance(each, Answer) and isinstance(each.outcome, Delivered) for each in messages) and once():
        return
    real(self, peer, messages)
service.StoreService._send = send
"""


def send_and_check(stack: Stack, size: int) -> None:
    text = b"Subject: once\n\n" + (b"z" * 69 + b"\n") * (size // 70)
    with stack.connect() as client:
        client.begin()
        client.send(text.replace(b"\n", b"\r\n") + b".\r\n")
        reply = client.reply()
        assert reply.startswith("250 2.0.0 ")
        assert client.command("QUIT").startswith("221 ")
    messages = mailboxes.read(stack.mailboxes / "maria@example.com.txt")
    assert [(message.delivery, message.text) for message in messages] == [(reply.split()[-1], text)]


@pytest.mark.parametrize("size", [1000, 2_500_000], ids=["small", "in pieces"])
def test_a_worker_that_dies_between_the_commit_and_its_answer_costs_nothing(folder: Path, size: int) -> None:
    with Stack(folder) as stack:
        for name in stack.worker_names:
            stack.kill(name)
            stack.start(name, programs.worker(_WORKER_DIES_AT_THE_ANSWER, folder / "flag"))
        send_and_check(stack, size)
        assert (folder / "flag").exists()
        assert any("by an earlier run of this step" in stack.log(name) for name in stack.worker_names)


def test_an_answer_that_is_lost_on_its_way_costs_nothing(folder: Path) -> None:
    with Stack(folder) as stack:
        stack.kill("mailbox_store")
        stack.start("mailbox_store", programs.store(_STORE_LOSES_AN_ANSWER, folder / "flag"))
        send_and_check(stack, 1000)
        assert (folder / "flag").exists()
