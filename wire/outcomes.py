"""What the store can say about a question. Outcomes, never SMTP codes: the dialogue owns the replies."""

from __future__ import annotations

from typing import TypeAlias

from wire.records import record


@record
class Found:
    """The address delivers to this mailbox. `writable`: it can be written now, so a Check could be spared."""

    mailbox: str
    writable: bool = False


@record
class NoSuchUser:
    """The domain is ours, the user is not."""


@record
class NotOurDomain:
    """No user of ours has this domain."""


@record
class Writable:
    """Every mailbox asked about can be written."""


@record
class Unwritable:
    """This mailbox, the first of those asked about, cannot be written, and why."""

    mailbox: str
    reason: str


@record
class Staged:
    """The pieces kept so far add up to `octets`."""

    octets: int


@record
class Delivered:
    """The message is on disk, once. `repeat`: it was already there from an earlier run of the same step."""

    repeat: bool


@record
class Discarded:
    """Nothing is staged under that delivery id any more."""


@record
class Failed:
    """Nothing was stored. `kind` is one of FAILURES; `detail` is for the log, not for the client."""

    kind: str
    detail: str


TROUBLE = "trouble"  # the journal or a mailbox could not be read or written
DISK_FULL = "disk_full"  # no space left for the message
EXPIRED = "expired"  # the deadline had passed, or the message is older than the ledger can vouch for
FAILURES = frozenset({TROUBLE, DISK_FULL, EXPIRED})


@record
class TimedOut:
    """The store did not answer in time. Said by a worker to itself; never sent."""


Outcome: TypeAlias = (
    Found | NoSuchUser | NotOurDomain | Writable | Unwritable | Staged | Delivered | Discarded | Failed | TimedOut
)
