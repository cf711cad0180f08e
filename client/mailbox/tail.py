"""The messages of a mailbox as they come: each whole one once.

Gives: `Tail`, whose `read` gives the messages that were not given before. A message is whole once nobody holds the
lock of an append and the empty line that ends it, or the next message, is there.
Fails: `mbox.MailboxError` for what is no mailbox; that there is none yet is no error.
Limits: a mailbox that was rotated, emptied or rewritten is read from its beginning, and what was given before is then
known by its delivery id alone. What cannot be told from a whole message is the half of one without a lock that ends
with an empty line of its text: the store leaves one only if it is killed in the middle of an append.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from math import inf
from pathlib import Path

from ..mail.mbox import entry, messages
from ..mail.view import StoredMail
from .files import MailboxFile, MailboxMissing, is_there, open_mailbox


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
