"""What the store says of addresses and mailboxes: whose mailbox an address is, and whether mailboxes can be written.

Gives: `Lookups`. Its outcomes are of the epoch that it is told (see `epoch.py`).
Fails: with outcomes. A mailbox that cannot be written is told on the log once.
"""

from __future__ import annotations

import logging

from mailbox_store.epoch import MAILBOX, Epochs
from mailbox_store.mailboxes.files import Files
from mailbox_store.mailboxes.mailboxes import Mailboxes
from mailbox_store.metrics import UNWRITABLE, Totals
from mailbox_store.users.unlisted import Unlisted
from mailbox_store.users.users import UsersSource
from wire import outcomes
from wire.messages import Check, Lookup
from wire.outcomes import Said

log = logging.getLogger(__name__)

# For how long it may be said again, in ms: whose mailbox an address is, and that a mailbox can be written. An edited
# list of users is read within two looks at it (`users_file.py`), so all in all it is heard of within a second.
ADDRESS_HOLDS = 300
WRITABLE_HOLDS = 250


class Lookups:
    """Over the list of users and the mailboxes as they are now."""

    def __init__(
        self,
        files: Files,
        users: UsersSource,
        unlisted: Unlisted | None,
        mailboxes: Mailboxes,
        epochs: Epochs,
        totals: Totals,
    ) -> None:
        """:param unlisted: mailboxes of those who are no users; None: they have none."""
        # The one now; to be set before anything is looked up, for what changes from then on ends it.
        self.epoch = 0
        self._files = files
        self._users = users
        self._unlisted = unlisted
        self._mailboxes = mailboxes
        self._epochs = epochs
        self._totals = totals
        # Those of which it was told that they cannot be written.
        self._unwritable: set[str] = set()

    def lookup(self, question: Lookup) -> Said:
        outcome: Said = self._users.current.lookup(question.local, question.domain)
        if self._unlisted is not None and question.domain and not isinstance(outcome, outcomes.Found):
            outcome = self._unlisted.lookup(question.local, question.domain)
        if isinstance(outcome, outcomes.Found):
            # A local part alone is asked anew each time: by that, probes ask whether the store answers now.
            holds = ADDRESS_HOLDS if question.domain else 0
            if self._is_to_be_made(outcome.mailbox):
                return outcomes.Found(outcome.mailbox, holds=holds)
            checked = self._check(Check((outcome.mailbox,)))
            writable = isinstance(checked, outcomes.Writable) and checked.epoch == self.epoch
            writable_for = checked.holds if isinstance(checked, outcomes.Writable) else 0
            return outcomes.Found(outcome.mailbox, writable, self.epoch, holds, writable_for)
        return outcome

    def check(self, question: Check) -> Said:
        """Can all be written? That has no epoch where one of them could be changed without beginning a new one."""
        outcome = self._check(question)
        self._totals.refused[UNWRITABLE] += outcome.__class__ is outcomes.Unwritable
        return outcome

    def _check(self, question: Check) -> Said:
        if question.epoch == self.epoch:
            return outcomes.Writable(self.epoch)
        epoch, holds = self.epoch, WRITABLE_HOLDS
        for mailbox in question.mailboxes:
            if self._is_to_be_made(mailbox):
                # Nobody can tell but by making it. Nor is it told of one that is, soon, what was told of none.
                epoch = holds = 0
                continue
            if not self._users.knows(mailbox) and not self._is_made(mailbox):
                return outcomes.Unwritable(mailbox, "no such mailbox")
            try:
                self._mailboxes.leave(mailbox, self._mailboxes.open(mailbox))
            except OSError as error:
                self._tell_unwritable(mailbox, reason(error))
                return outcomes.Unwritable(mailbox, reason(error))
            if self._unwritable and mailbox in self._unwritable:
                self._unwritable.remove(mailbox)
                log.info("= %s can be written again", mailbox)
            if not self._files.in_folder(mailbox):
                epoch = 0
        return outcomes.Writable(epoch, holds)

    def _is_to_be_made(self, mailbox: str) -> bool:
        unlisted = self._unlisted
        return unlisted is not None and not unlisted.is_made(mailbox) and unlisted.takes(mailbox)

    def _is_made(self, mailbox: str) -> bool:
        return self._unlisted is not None and self._unlisted.is_made(mailbox)

    def _tell_unwritable(self, mailbox: str, why: str) -> None:
        """Once, not for each client that tries again; what was said of it before is over then."""
        if mailbox not in self._unwritable:
            self._unwritable.add(mailbox)
            self._epochs.end(MAILBOX)
            log.error("! %s cannot be written, mail for it is refused: %s", mailbox, why)


def reason(error: OSError) -> str:
    """What a person is told of an error."""
    return error.strerror or str(error)
