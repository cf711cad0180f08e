"""Is there room for mail? What a message would meet is told before one comes: `make up` and status ask for it.

Gives: `why_no_mail`, for the store's thread, once a second; `SPACE_MARGIN`, which the store leaves free.
Fails: never; what cannot be seen is said.
Limits: of a disk it is seen how much is free, not what a quota allows.
"""

from __future__ import annotations

from mailbox_store.journal.journal import Journal, JournalError
from mailbox_store.mailboxes.files import Files

# Left free in the mailbox folder, for what other programs write at the same time.
SPACE_MARGIN = 1024 * 1024
# A message of a common size: where not even this has room, no mail is taken.
_SMALL = 4096


def why_no_mail(files: Files, journal: Journal) -> str:
    """Why even a small message would be refused as `disk_full` now, in words; "" where it would not."""
    try:
        free = files.free_space()
        if free < SPACE_MARGIN + _SMALL:
            return f"no room for mail: {free / 2**20:.1f} MiB free where the mailboxes are"
        return "" if journal.has_room() else "no room for mail: the disk of the journal is full"
    except (OSError, JournalError) as error:
        return f"the room for mail cannot be seen: {error}"
