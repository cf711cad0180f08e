"""What the journal may forget by the clock: ids that no repeat can name any more, and pieces of messages without end.

Gives: `Tidying`, which does what is due in small portions; and the times that the store's promises rest on.
Fails: with JournalError, and is due again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from mailbox_store.journal.journal import Journal
from runtime import counted

log = logging.getLogger(__name__)

_HOUR = 3_600_000
# A delivery whose time is further from now than this, on either side, is refused: a repeat of it might come after
# its id was dropped. The longest wait that a living session allows (timeouts and retries) is minutes.
LEDGER_REACH = 12 * _HOUR
# An id goes when its message's time is so far past, which leaves LEDGER_REACH for clocks that are set back. One of a
# time so far ahead is from a clock that was wrong.
LEDGER_KEPT = 2 * LEDGER_REACH
PIECES_KEPT = 24 * _HOUR
# Ids dropped in one transaction: some 5 ms.
_PRUNE_PORTION = 1000
_PRUNE_INTERVAL = 60.0
_STALE_INTERVAL = 3600.0


class Tidying:
    """When what was done last.

    :param clock: ms since the epoch.
    :param monotonic: seconds, for pauses.
    """

    def __init__(self, journal: Journal, clock: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._monotonic = monotonic
        self._prune_due = 0.0
        self._stale_due = 0.0

    def step(self) -> None:
        """Do what is due.

        :raises JournalError: where the journal cannot be written.
        """
        now = self._monotonic()
        if now >= self._prune_due:
            wall = self._clock()
            with self._journal.transaction():
                pruned = self._journal.prune(wall - LEDGER_KEPT, wall + LEDGER_KEPT, _PRUNE_PORTION)
            # A full portion: there is more, and it goes at the next tick.
            self._prune_due = now if pruned == _PRUNE_PORTION else now + _PRUNE_INTERVAL
        if now >= self._stale_due:
            with self._journal.transaction():
                stale = self._journal.drop_stale(self._clock() - PIECES_KEPT)
            self._stale_due = now + _STALE_INTERVAL
            if stale:
                log.info("= dropped the pieces of %s without an end", counted(stale, "message"))
