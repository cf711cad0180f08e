"""The store's epoch: a number that stays the same as long as nothing it has said of addresses and mailboxes is wrong.

An outcome `Found` or `Writable` carries the epoch that it was given in. Whoever keeps the outcome can use it as long
as the store names that epoch; so the store need not be asked for every message whether its mailboxes can be written.

A new epoch begins with a new list of users, when another program has changed the folder of mailboxes or permissions
in it, when a mailbox cannot be written, and after a while at any rate: what the kernel does not tell of (chattr, a
file system that is made read-only, the permissions of a folder above) is met then, or by the first mail that fails.

Limits: where nobody watches the folder an epoch lasts `_UNWATCHED` only: what was said may be that old.

Pure bookkeeping: the clocks are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Protocol

# Why one ends.
USERS, FOLDER, MAILBOX, AGE = "users", "folder", "mailbox", "age"
# Seconds; after it all mailboxes in use are opened once more.
_WATCHED = 3600.0
_UNWATCHED = 0.25


class Watch(Protocol):
    """Who tells whether other programs have changed the folder of mailboxes."""

    @property
    def watching(self) -> bool:
        """Is each change seen from now on?"""
        ...

    def renew(self) -> None:
        """Watch the folder, whichever has its name by now."""
        ...

    def changed(self) -> bool:
        """Was there a change since this was last asked?"""
        ...


class Epochs:
    """The current epoch, and when it ends.

    :param watch: None: nobody watches.
    :param clock: ms since the Unix epoch. An epoch is named by when it began, so that one of a store that was
        restarted has another name.
    :param monotonic: seconds.
    :param ended: where it is counted why epochs end.
    """

    def __init__(
        self,
        watch: Watch | None,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        ended: MutableMapping[str, int],
    ) -> None:
        self._watch = watch
        self._clock = clock
        self._monotonic = monotonic
        self._users: object = None
        self._current = 0
        self._until = float("-inf")
        self._ended = ended

    def current(self, users: object) -> int:
        """The epoch now; to be asked before that is looked up which is said in it.

        :param users: the list of users now.
        """
        if users is not self._users:
            self._users = users
            self.end(USERS)
        elif self._watch is not None and self._watch.changed():
            self.end(FOLDER)
        elif self._monotonic() >= self._until:
            self.end(AGE)
        return self._current

    def end(self, why: str) -> None:
        """Something that was said may be wrong now: another epoch begins."""
        lasts = _UNWATCHED
        if self._watch is not None:
            self._watch.renew()
            lasts = _WATCHED if self._watch.watching else _UNWATCHED
        self._current = max(self._clock(), self._current + 1)
        self._until = self._monotonic() + lasts
        self._ended[why] += 1
