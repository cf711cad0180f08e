"""Wait for a mail: read its mailbox file each time the kernel tells of a change (`file_changes.py`), ask no server.

Gives: `WantedMail`, what a mail must be like, `wait_for`, which returns it as soon as it is in the mailbox, and
`Seen`, what it saw instead; `Tail`, whose `read` gives the messages that were not given before. A message is whole
once nobody holds the lock of an append and the empty line that ends it, or the next message, is there. What stands in
the file is taken apart by `mail/mbox.py`, whose `entry` undoes the quoting of `From ` lines.
Fails: `files.MailboxError` for a mailbox that cannot be read; that there is none yet is no error, and no such mail in
time is None.
Limits: the time holds whatever is in the mailbox, and however long a regular expression would take: a subject for
which it takes over `_SEARCH_SECONDS` is not the one that was meant. To look at what is there already, a second is
taken even where the wait is to be shorter.
A mailbox that was rotated, emptied or rewritten is read from its beginning, and what was given before is then known
by its delivery id alone. What cannot be told from a whole message is the half of one without a lock that ends with an
empty line of its text: the store leaves one only if it is killed in the middle of an append.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from ..mail.address import fold
from ..mail.mbox import Entry, entry, messages
from ..mail.view import StoredMail
from ..pattern import found
from .file_changes import Changes
from .files import MailboxFile, MailboxMissing, file_names, is_there, open_mailbox

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


class Tail:
    """What comes into one mailbox.

    :param folder: of the mailbox files; it need not exist yet.
    :param address: of the mailbox.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._address = address
        self._begin()
        self._given: set[str] = set()

    def read(self, until: float = inf) -> Iterator[StoredMail]:
        """The whole messages that have come since the last read.

        :param until: when to stop, by the monotonic clock; the next read goes on from there.
        :raises MailboxError: the mailbox cannot be read.
        """
        # Asked first, for what is said of a mailbox that is not there takes a look at all the others.
        if not is_there(self._folder, self._address):
            self._begin()
            return
        try:
            with open_mailbox(self._folder, self._address, until) as mailbox:
                self._find_place(mailbox)
                for mail in self._whole(mailbox, until):
                    if (mail.id and mail.id in self._given) or (mailbox.shared and not mail.is_for(self._address)):
                        continue
                    self._given.add(mail.id)
                    yield mail
        except MailboxMissing:  # gone since it was looked for
            self._begin()
        except TimeoutError:
            return

    def _begin(self) -> None:
        self._file = (0, 0)
        self._offset = 0
        self._number = 0

    def _find_place(self, mailbox: MailboxFile) -> None:
        """Go on where the last read ended, or at the beginning of a file that is another one now."""
        status = os.fstat(mailbox.file.fileno())
        begins = next(mailbox.pieces(self._offset), b"From ") if mailbox.size >= self._offset else b""
        if (status.st_dev, status.st_ino) != self._file or not begins.startswith((b"From ", b"\n")):
            self._begin()
            self._file = (status.st_dev, status.st_ino)

    def _whole(self, mailbox: MailboxFile, until: float) -> Iterator[StoredMail]:
        before = b""
        for octets in messages(mailbox.pieces(self._offset, until)):
            yield from self._take(before)
            before = octets
            if time.monotonic() > until:
                return
        # What follows the others shows that they are whole; the last one, that its empty line is there.
        if before.count(b"\n") > 1 and before.endswith((b"\n\n", b"\n\r\n")):
            yield from self._take(before)

    def _take(self, octets: bytes) -> Iterator[StoredMail]:
        self._offset += len(octets)
        if found := entry(octets):
            self._number += 1
            yield StoredMail(self._number, found)
