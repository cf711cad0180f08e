"""Wait for a mail without sleeping and without polling.

Gives: `WantedMail`, what a mail must be like, `wait_for`, which returns it as soon as it is in the mailbox, and
`Seen`, what it saw instead.
Fails: `files.MailboxError` for a mailbox that cannot be read; no such mail in time is None.
Limits: the time holds whatever is in the mailbox, and however long a regular expression would take: a subject for
which it takes over `_SEARCH_SECONDS` is not the one that was meant. To look at what is there already, a second is
taken even where the wait is to be shorter.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..mail.address import fold
from ..mail.mbox import Entry
from ..mail.view import StoredMail
from ..pattern import found
from .file_changes import Changes
from .files import file_names
from .tail import Tail

_LOOK_SECONDS = 1.0
# For a subject of everyday some microseconds are enough.
_SEARCH_SECONDS = 0.25
_KEPT = 5
# Who it is from and what about stands there.
_BEGINNING = 16 * 1024


@dataclass(frozen=True, slots=True)
class WantedMail:
    """What a mail must be like; what is empty asks for nothing.

    `subject` is searched in the Subject field, `sender` is an address of From: or of the envelope, whatever its
    letter case. `after`: only mails that stand in the mailbox behind the one with this delivery id.
    `new`: only mails that come after the waiting began.
    """

    subject: re.Pattern[str] | None = None
    sender: str = ""
    after: str = ""
    new: bool = False

    def matches(self, mail: StoredMail, seconds: float = _SEARCH_SECONDS) -> bool:
        """Whether it is one, `after` and `new` apart.

        :raises TimeoutError: the subject is one that takes longer.
        """
        if self.sender and fold(self.sender) not in mail.addresses:
            return False
        return self.subject is None or found(self.subject, mail.subject, seconds)


@dataclass(slots=True)
class Seen:
    """What was in the mailbox: how many, the beginnings of the last, and how many subjects took too long."""

    count: int = 0
    last: deque[StoredMail] = field(default_factory=lambda: deque(maxlen=_KEPT))
    unsearched: int = 0

    def add(self, mail: StoredMail) -> None:
        self.count += 1
        self.last.append(StoredMail(mail.number, Entry(mail.entry.from_line, mail.raw[:_BEGINNING])))


def wait_for(
    folder: Path, address: str, wanted: WantedMail, seconds: float, seen: Seen | None = None
) -> StoredMail | None:
    """The first such mail of a mailbox, which is there already or comes within `seconds`; None if none does.

    :param folder: of the mailbox files.
    :param seen: is told of each mail that is none.
    :raises MailboxError: the mailbox cannot be read. That there is none yet is no error.
    """
    began = time.monotonic()
    deadline, look_until = began + seconds, began + max(seconds, _LOOK_SECONDS)
    seen = Seen() if seen is None else seen
    tail = Tail(folder, address)
    passed, new = not wanted.after, not wanted.new
    with Changes(folder, file_names(address)) as changes:
        while True:
            for mail in tail.read(look_until):
                if passed and new and _matches(wanted, mail, look_until, seen):
                    return mail
                passed = passed or mail.id == wanted.after
                seen.add(mail)
            new = True
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            changes.wait(left)


def _matches(wanted: WantedMail, mail: StoredMail, until: float, seen: Seen) -> bool:
    try:
        # Less for each that took too long: all of them together leave time for the mail that is waited for.
        return wanted.matches(mail, min(_SEARCH_SECONDS / (1 + seen.unsearched), until - time.monotonic()))
    except TimeoutError:
        seen.unsearched += 1
        return False


def all_mail(folder: Path, address: str) -> Iterator[StoredMail]:
    """The whole messages of a mailbox; none where there is none.

    :raises MailboxError: it cannot be read.
    """
    return Tail(folder, address).read()
