"""At start: bring journal and mailboxes together, whatever ended the last run. So what the journal has promised holds
(`journal/journal.py`): each message that it has taken gets to its mailboxes.

Every entry that was not forgotten is looked at, by mailbox and in order: there already, cut short, or missing. It is
completed or appended, never twice, and no octet is cut or overwritten that the store did not write. What is there is
written once more, in its place, and synced: nobody knows whether a sync of it has failed.

An entry that was marked as appended in this same boot is not appended again: only processes have died since, so the
file has it, unless its user has removed it, who is not to get it back. After another boot no mark counts.

All that is done as everything else that waits for a mailbox (`visit.py`), in portions: a moment of it before the
store takes mail, the rest while it does. New mail for a mailbox that is not through waits in the journal behind it.

A boot has the kernel's own name; where it does not tell it, each start counts as one after a new boot.

Safe to interrupt: each change is one that the next recovery finds and understands.
Limits: a mark is made some 30 ms after a visit, with a commit. What was appended since the last one when the process
was killed, and is removed by its user before the next one looks, comes again: a mail twice is better than none.
"""

from __future__ import annotations

import logging
import uuid
from itertools import groupby
from pathlib import Path

from mailbox_store.checkpoint import Checkpoint
from mailbox_store.journal.journal import Journal
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.mailboxes.visit import Doubt, ToAppend

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Seconds: what a quick restart has to settle is settled, and a client does not notice.
_AT_START = 0.3


def recover(journal: Journal, mailboxes: Mailboxes, checkpoint: Checkpoint, boot: str) -> int:
    """Begin to settle what the journal holds; gives the number of entries.

    A mailbox that is locked or cannot be written keeps its entries waiting, as in normal work.

    :param boot: names the running kernel's boot.
    :raises JournalError: where the journal cannot be read.
    """
    same_boot = journal.boot() == boot
    pending = journal.pending()
    for mailbox, group in groupby(pending, key=lambda pending: pending.entry.mailbox):
        tasks: list[ToAppend] = []
        for each in group:
            checkpoint.hold([each.entry])
            tasks.append(ToAppend(each.entry, Doubt.UNSYNCED if each.appended and same_boot else Doubt.ANY))
        mailboxes.wait(mailbox, tasks)
    mailboxes.work(_AT_START)
    return len(pending)


def name_boot(journal: Journal, mailboxes: Mailboxes, boot: str) -> bool:
    """Name this boot in the journal, so that marks made in it count; not while anything is still in doubt.

    :returns: whether the journal names this boot now.
    """
    if journal.boot() == boot:
        return True
    if mailboxes.in_doubt:
        return False
    with journal.transaction():
        journal.set_boot(boot)
    return True


def this_boot() -> str:
    """The name of the running kernel's boot. Never empty: that is a journal's word for no boot at all."""
    try:
        boot, reason = _BOOT_ID.read_text().strip(), "is empty"
    except OSError as error:
        boot, reason = "", error.strerror or str(error)
    if not boot:
        log.warning("! %s: %s; this start counts as one after a new boot", _BOOT_ID, reason)
    return boot or str(uuid.uuid4())
