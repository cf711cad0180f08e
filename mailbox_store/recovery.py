"""At start: bring journal and mailboxes together, whatever ended the last run. This keeps the journal's promise
(`journal/journal.py`): each message that it has taken gets to its mailboxes.

The store looks for every entry that the journal still holds, by mailbox and in order. An entry is there already, cut
short, or missing. The store completes it or appends it, never twice, and never cuts or overwrites an octet that it
did not write itself. An entry that is there is written once more, in its place, and synced, because nobody knows
whether an earlier sync of it has failed.

An entry that was marked as appended in this same boot is not appended again. Only processes have died since, so the
file has the entry, unless its user has removed it; then the user must not get it back. After another boot no mark
counts. The kernel has a name for each boot; if it does not tell the name, each start counts as one after a new boot.

This is done like all other work that waits for a mailbox (`visit.py`), in portions: some of it for a moment before
the store takes mail, the rest while it does. New mail for a mailbox that is not finished waits in the journal behind
it.

Safe to interrupt: the next recovery finds and understands each change.
Limits: a mark is made some 30 ms after a visit, with a commit. If the process is killed before that, and the user
then removes the entry before the next process looks, the entry comes again: a mail twice is better than none.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from mailbox_store.checkpoint import Checkpoint
from mailbox_store.journal.journal import Journal
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.mailboxes.visit import Doubt, ToAppend
from runtime import counted

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Seconds: what a quick restart has to settle is settled, and a client does not notice.
_AT_START = 0.3


class Recovery:
    """That of one start.

    :param monotonic: seconds.
    """

    def __init__(
        self, journal: Journal, mailboxes: Mailboxes, checkpoint: Checkpoint, monotonic: Callable[[], float]
    ) -> None:
        self._journal = journal
        self._mailboxes = mailboxes
        self._checkpoint = checkpoint
        self._monotonic = monotonic
        self._boot = ""
        self._began = 0.0
        # How many entries the journal held, and whether it was told what became of them.
        self._held = 0
        self._told = False
        # Nothing is left to do.
        self.over = False

    def begin(self, boot: str) -> int:
        """Begin to settle what the journal holds; gives the number of entries.

        A mailbox that is locked or cannot be written keeps its entries waiting, as in normal work.

        :param boot: names the running kernel's boot.
        :raises JournalError: where the journal cannot be read or written.
        """
        self._boot, self._began = boot, self._monotonic()
        same_boot = self._journal.boot() == boot
        pending = self._journal.pending()
        self._held = len(pending)
        for mailbox, group in groupby(pending, key=lambda pending: pending.entry.mailbox):
            tasks: list[ToAppend] = []
            for each in group:
                self._checkpoint.hold([each.entry])
                tasks.append(ToAppend(each.entry, Doubt.UNSYNCED if each.appended and same_boot else Doubt.ANY))
            self._mailboxes.wait(mailbox, tasks)
        self._mailboxes.work(_AT_START)
        self.step()
        return self._held

    def step(self) -> None:
        """Once nothing is in doubt any more: tell that, and name this boot in the journal, so that marks made in it
        count.

        :raises JournalError: where the journal cannot be read or written; then it is to be tried again.
        """
        if self._mailboxes.in_doubt:
            return
        if not self._told:
            self._told = True
            settled, seconds = self._mailboxes.settled, self._monotonic() - self._began
            log.info(
                "= recovered %s of the journal: %d whole, %d completed, %d appended, %d waiting, in %.1f s",
                counted(self._held, "entry", "entries"),
                settled.whole,
                settled.completed,
                settled.appended,
                self._mailboxes.waiting,
                seconds,
            )
        if self._journal.boot() != self._boot:
            with self._journal.transaction():
                self._journal.set_boot(self._boot)
        self.over = True


def this_boot() -> str:
    """The name of the running kernel's boot. Never empty: that is a journal's word for no boot at all."""
    try:
        boot, reason = _BOOT_ID.read_text().strip(), "is empty"
    except OSError as error:
        boot, reason = "", error.strerror or str(error)
    if not boot:
        log.warning("! %s: %s; this start counts as one after a new boot", _BOOT_ID, reason)
    return boot or str(uuid.uuid4())
