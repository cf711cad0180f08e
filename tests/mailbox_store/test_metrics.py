"""What the store counts, and the figures that it tells of itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailbox_store.journal.journal import JournalFull
from mailbox_store.journal.sqlite_journal import SqliteJournal
from mailbox_store.mailboxes.files import DiskFiles
from mailbox_store.metrics import Totals, families
from mailbox_store.users.users_file import UsersFile
from tests.conditions import wait_until
from tests.mailbox_store.bench import A, B, Bench, deliver
from tests.mailbox_store.fakes import NOW, AskedStore, Clock, FixedUsers
from tests.scraping import Samples, scrape
from tests.stack import Stack
from wire.messages import Ask, Check


class Counted(Bench):
    @property
    def found(self) -> Samples:
        return Samples(families(self.store.totals, self.store.figures()))


def test_deliveries_copies_and_octets_are_those_of_the_mailboxes() -> None:
    bench = Counted()
    bench.ask(deliver("one", A, B), deliver("two"))
    bench.ask(deliver("one", A, B))
    assert bench.found("correio_store_deliveries_total") == 2
    assert bench.found("correio_store_deliveries_known_total") == 1
    assert bench.found("correio_store_copies_total") == 3
    assert bench.found("correio_store_bytes_total") == sum(map(len, bench.files.content.values()))
    assert bench.found("correio_store_batch_questions_count") == 2
    assert bench.found("correio_store_batch_questions_sum") == 3


def test_what_could_not_be_done_is_told_by_kind() -> None:
    bench = Counted()
    bench.ask(deliver("late"), deadline=NOW - 1)
    bench.ask(deliver("nobody", "nobody@b.example"), Check(("nobody@b.example",)))

    def full() -> None:
        raise JournalFull("no room")

    bench.journal.fail = full
    bench.ask(deliver("one"), deliver("two"))
    for kind, times in {"expired": 1, "trouble": 1, "unwritable": 1, "disk_full": 2}.items():
        assert bench.found("correio_store_refused_total", kind=kind) == times
    assert bench.found("correio_store_deliveries_total") == 0


def test_the_journal_s_depth_and_age_are_those_of_what_it_still_holds() -> None:
    bench = Counted()
    assert bench.store.figures() == {
        "deliveries": 0,
        "journal_messages": 0,
        "journal_oldest_seconds": 0.0,
        "entries_waiting": 0,
        "users": 2,
    }
    bench.files.locked = {B}
    bench.ask(deliver("one", B))
    bench.now += 5_000
    bench.ask(deliver("two", A), deadline=bench.now)
    bench.second()
    figures = bench.store.figures()
    assert (figures["journal_messages"], figures["journal_oldest_seconds"]) == (1, 5.0)
    assert (figures["entries_waiting"], figures["deliveries"]) == (1, 2)
    assert bench.found("correio_store_checkpoint_seconds_count") > 0
    assert bench.found("correio_store_mailbox_sync_seconds_count") == 1
    bench.files.locked = set()
    bench.second()
    bench.second()
    assert bench.store.figures()["journal_messages"] == 0


def test_the_age_is_told_again_after_a_restart(folder: Path) -> None:
    totals, files, now = Totals(), DiskFiles(folder), NOW
    (folder / f"{A}.txt").touch()
    with ThreadPoolExecutor(1) as executor:
        journal = SqliteJournal(folder / "journal", totals.commit)
        store = AskedStore(journal, files, FixedUsers(A), executor, lambda: now, Clock(), totals)
        store.recover("boot")
        store.answer([Ask(1, NOW, deliver("one"))])
        assert totals.commit.sum > 0
        journal.close()
        now += 3_000
        (folder / f"{A}.txt").chmod(0o400)
        again = AskedStore(SqliteJournal(folder / "journal"), files, FixedUsers(A), executor, lambda: now, Clock())
        again.recover("another boot")
        assert (again.figures()["journal_messages"], again.figures()["journal_oldest_seconds"]) == (1, 3.0)
        (folder / f"{A}.txt").chmod(0o600)
        again.close()


def test_edits_of_the_users_file_are_counted_good_or_bad(folder: Path) -> None:
    path, totals = folder / "users.txt", Totals()
    path.write_text("ana@b.example\n")
    (folder / "mail").mkdir()
    users = UsersFile(path, DiskFiles(folder / "mail"), "home.example", "", totals)
    for text in ("ana@b.example\nbob@b.example\n", "no address\n"):
        path.write_text(text)
        users.refresh()
        users.refresh()
    path.unlink()
    users.refresh()
    users.refresh()
    assert (totals.reloads, totals.reload_errors) == (1, 2)


@pytest.mark.stack
def test_a_store_tells_its_numbers(folder: Path) -> None:
    with Stack(folder, workers=1, metrics=True) as stack:
        port = stack.metrics["mailbox_store"]
        with stack.connect() as client:
            client.begin()
            client.send(b"Subject: x\r\n\r\nhello\r\n.\r\n")
            assert client.reply().startswith("250 ")
        wait_until(lambda: scrape(port)("correio_store_deliveries_total") == 1, "the delivery is counted")
        assert scrape(port)("correio_store_commit_seconds_count") > 0
        wait_until(lambda: scrape(port)("correio_store_users") == 3, "the figures are there")
