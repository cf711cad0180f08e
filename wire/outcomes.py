"""What the store can say about a question. Outcomes, never SMTP codes: the dialogue owns the replies."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from wire.fields import Holds, Name, Number, Text, WireRecord
from wire.records import Record

TROUBLE: Final = "trouble"  # the journal or a mailbox could not be read or written
DISK_FULL: Final = "disk_full"  # no space left for the message
EXPIRED: Final = "expired"  # the deadline had passed, or the message is older than the ledger can vouch for
Failure: TypeAlias = Literal["trouble", "disk_full", "expired"]


class Found(WireRecord, tag="found"):
    """The address delivers to this mailbox.

    `holds`: for so many ms from when it was asked for, that may be taken to be so. `writable_for`: and for so many,
    the mailbox may be taken to be one that can be written, so that no Check need ask; 0: not known.
    """

    mailbox: Name
    holds: Holds = 0
    writable_for: Holds = 0


class NoSuchUser(WireRecord, tag="no-user"):
    """The domain is ours, the user is not; or nobody can be a user of that name, and `why`."""

    why: Text = ""


class NotOurDomain(WireRecord, tag="not-ours"):
    """No user of ours has this domain."""


class Writable(WireRecord, tag="writable"):
    """Every mailbox asked about can be written; for `holds` ms from when it was asked, that may be taken to be so."""

    holds: Holds = 0


class Unwritable(WireRecord, tag="unwritable"):
    """This mailbox, the first of those asked about, cannot be written, and why."""

    mailbox: Name
    reason: Text


class Staged(WireRecord, tag="staged"):
    """The pieces kept so far add up to `octets`."""

    octets: Number


class Delivered(WireRecord, tag="delivered"):
    """The message is on disk, once. `repeat`: it was already there from an earlier run of the same step."""

    repeat: bool


class Discarded(WireRecord, tag="discarded"):
    """Nothing is staged under that delivery id any more."""


class Failed(WireRecord, tag="failed"):
    """Nothing was stored. `detail` is for the log, not for the client."""

    kind: Failure
    detail: Text


class TimedOut(Record):
    """The store did not answer in time. Said by a worker to itself; never sent."""


# What the store says, and what a worker may be left with.
Said: TypeAlias = (
    Found | NoSuchUser | NotOurDomain | Writable | Unwritable | Staged | Delivered | Discarded | Failed
)  # fmt: skip
Outcome: TypeAlias = Said | TimedOut
