"""What the store counts, and under which names.

Gives: `Totals`, plain numbers that the store's parts add to as they go; `families`, with the store's figures, as
Prometheus reads them. docs/metrics.md lists them.
Limits: numbers of now (the figures) are up to a second old.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from mailbox_store.journal.journal import HeldEntry
from runtime.metrics import counter, figure, gauge, histogram
from runtime.telling import Histogram
from runtime.vitals import Figures
from wire.outcomes import DISK_FULL, EXPIRED, TROUBLE, Delivered, Failed, Outcome

# Questions that one transaction answers; a turn of the loop takes 500 at most.
_BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500)
UNWRITABLE = "unwritable"


class Totals:
    """Since the start of this store."""

    def __init__(self) -> None:
        self.deliveries = 0
        self.known_deliveries = 0
        self.copies = 0
        self.octets = 0
        self.refused = {TROUBLE: 0, DISK_FULL: 0, EXPIRED: 0, UNWRITABLE: 0}
        self.batch = Histogram(_BATCH)
        self.commit = Histogram()
        # Of the second thread: a round of syncs, and each sync of a mailbox.
        self.round = Histogram()
        self.sync = Histogram()
        self.reloads = 0
        self.reload_errors = 0
        self.dropped = 0

    def committed(self, outcomes: Sequence[Outcome], deliveries: Sequence[Sequence[HeldEntry]]) -> None:
        """A transaction is on disk: its outcomes, and the entries of each new delivery."""
        self.batch.add(len(outcomes))
        self.deliveries += len(deliveries)
        for entries in deliveries:
            for entry in entries:
                self.copies += 1
                self.octets += entry.length
        for outcome in outcomes:
            if outcome.__class__ is Delivered and outcome.repeat:
                self.known_deliveries += 1
            elif outcome.__class__ is Failed:
                self.refused[outcome.kind] += 1


def families(totals: Totals, now: Figures) -> Iterator[Metric]:
    """The store's metric families.

    :param now: the latest figures.
    """
    yield counter("correio_store_deliveries", "Messages that the journal has taken.", totals.deliveries)
    yield counter(
        "correio_store_deliveries_known",
        "Deliveries that were asked for again and are stored once. Some come with every worker that dies.",
        totals.known_deliveries,
    )
    yield counter("correio_store_copies", "Copies of messages, one for each mailbox that gets one.", totals.copies)
    yield counter("correio_store_bytes", "Octets of those copies, as the mailbox files have them.", totals.octets)
    yield counter(
        "correio_store_refused",
        "Questions that could not be done: trouble, disk_full, expired (asked too late, or a wrong clock), "
        "unwritable (a mailbox, which the log names). Worry about each but expired.",
        dict(totals.refused),
        "kind",
    )
    yield histogram(
        "correio_store_batch_questions",
        "Questions that one transaction of the journal answered: 1 is an idle store, hundreds are a full one.",
        totals.batch,
    )
    yield histogram(
        "correio_store_commit_seconds",
        "A commit of the journal, its sync included: what each 250 waits for. Worry over 0.1 s: the disk is slow.",
        totals.commit,
    )
    yield histogram(
        "correio_store_checkpoint_seconds",
        "A round of the checkpoint: all mailboxes that have got mail are synced. Worry over 10 s: the journal grows.",
        totals.round,
    )
    yield histogram("correio_store_mailbox_sync_seconds", "The sync of one mailbox file.", totals.sync)
    yield gauge(
        "correio_store_journal_messages",
        "Messages that the journal holds, until their mailboxes are synced. Some seconds' worth is normal.",
        figure(now, "journal_messages"),
    )
    yield gauge(
        "correio_store_journal_oldest_seconds",
        "Age of the oldest of them. Worry over 60 s: a mailbox is locked or cannot be written, or the disk is slow.",
        figure(now, "journal_oldest_seconds"),
    )
    yield gauge(
        "correio_store_entries_waiting",
        "Copies that are acknowledged and in the journal, and not in their mailbox yet. Worry where it stays over 0.",
        figure(now, "entries_waiting"),
    )
    yield gauge("correio_store_users", "Mailboxes of the list of users.", figure(now, "users"))
    yield counter("correio_store_users_reloads", "Times that an edited list of users was taken over.", totals.reloads)
    yield counter(
        "correio_store_users_reload_errors",
        "Times that it was not: the old list stays. Worry about each one; the log names file and line.",
        totals.reload_errors,
    )
    yield counter(
        "correio_store_dropped",
        "Messages of workers that were malformed or senseless. Worry about each one.",
        totals.dropped,
    )
