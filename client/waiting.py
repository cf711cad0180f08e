"""Wait for a mail without sleeping and without polling.

Gives: `Wanted`, what a mail must be like, and `wait_for`, which returns it as soon as it is in the mailbox.
Fails: `mbox.MailboxError` for a mailbox that cannot be read; no such mail in time is None.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .changes import Changes
from .mbox import file_names
from .stored import StoredMail
from .tail import Tail


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a mail must be like; what is empty asks for nothing.

    `subject` is searched in the Subject field, `sender` is an address of From: or of the envelope, whatever its
    letter case. `after`: only mails that stand in the mailbox behind the one with this delivery id.
    `new`: only mails that come after the waiting began.
    """

    subject: re.Pattern[str] | None = None
    sender: str = ""
    after: str = ""
    new: bool = False

    def matches(self, mail: StoredMail) -> bool:
        """Whether it is one, `after` and `new` apart."""
        if self.subject is not None and not self.subject.search(mail.subject):
            return False
        return not self.sender or self.sender.casefold() in mail.addresses


def wait_for(folder: Path, address: str, wanted: Wanted, seconds: float) -> StoredMail | None:
    """The first such mail of a mailbox, which is there already or comes within `seconds`; None if none does.

    :param folder: of the mailbox files.
    :raises MailboxError: the mailbox cannot be read. That there is none yet is no error.
    """
    deadline = time.monotonic() + seconds
    tail = Tail(folder, address)
    passed = not wanted.after
    with Changes(folder, file_names(address)) as changes:
        if wanted.new:
            for mail in tail.read():
                passed = passed or mail.id == wanted.after
        while True:
            for mail in tail.read():
                if passed and wanted.matches(mail):
                    return mail
                passed = passed or mail.id == wanted.after
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            changes.wait(left)


def all_mail(folder: Path, address: str) -> Iterator[StoredMail]:
    """The whole messages of a mailbox; none where there is none.

    :raises MailboxError: it cannot be read.
    """
    return Tail(folder, address).read()
