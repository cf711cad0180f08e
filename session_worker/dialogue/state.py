"""A session between two steps, and its form as octets: a small msgpack map with a version.

Session and transaction are two values: RSET, HELO and the end of a message drop the transaction whole.

A transaction's sender is not in the state but travels beside it (wire/SPEC.md, `carry`). So the state after MAIL is
the same for all senders, and what RCPT and DATA were answered in one session is the answer in the others too.

Only workers look inside the octets. `decode` raises `NewerState` for a version it does not know (another worker may),
and `StateError` for anything that is no state at all. A field may be absent where it has a default, and keys beyond
the known ones are ignored, so a release may add a field that older releases can do without. One that they cannot do
without needs a new version, and an entry in `UPGRADES` that makes a state of the version before into one of the new
version: sessions outlive the release they began with. Version 1 was in no release.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

import msgpack
import msgspec

from wire.fields import Number
from wire.records import Record, replace

VERSION = 2

Packed: TypeAlias = dict[Any, Any]
# Version → what makes of a state of that version one of the next: given the map, it gives the map without looking at
# "version". Every version that a session of the last release can have is here.
UPGRADES: dict[int, Callable[[Packed], Packed]] = {}


class StateError(ValueError):
    """Not a state, or an input that this state cannot have: a fault of ours, never of the client."""


class NewerState(Exception):  # nothing is wrong: the step is for a newer worker
    """The state was written by a newer release."""


class Phase(Enum):
    """Where a session stands (RFC 5321 section 4.1.4)."""

    CONNECTED = "connected"  # nothing said yet
    GREETED = "greeted"  # HELO or EHLO was accepted, no transaction is under way
    SENDER = "sender"  # MAIL was accepted
    RECIPIENTS = "recipients"  # at least one RCPT was accepted
    MESSAGE = "message"  # DATA was accepted, the message is being read


class Recipient(Record, array_like=True):
    """An accepted forward-path: the address as the client gave it, and the mailbox it delivers to."""

    address: str
    mailbox: str


class Transaction(Record, omit_defaults=True):
    """A mail transaction, from MAIL to the end of data (RFC 5321 section 3.3).

    `sender` is canonical, "" the null reverse-path; `utf8`: SMTPUTF8 was asked for. Once DATA was accepted `reading`
    is true, `staged` counts the octets that the store keeps of a large message, and `failure` is why it could not
    keep one: a failure of `wire.outcomes`, or `TIMED_OUT`. `words` are recipients' local parts that ask for failures
    on cue.
    """

    sender: str = ""
    utf8: bool = False
    recipients: tuple[Recipient, ...] = ()
    reading: bool = False
    staged: Number = 0
    failure: str = ""
    words: tuple[str, ...] = ()

    @property
    def mailboxes(self) -> tuple[str, ...]:
        """Each once, in the order of their first recipients."""
        match self.recipients:
            case (only,):
                return (only.mailbox,)
            case several:
                return tuple(dict.fromkeys([recipient.mailbox for recipient in several]))

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(recipient.address for recipient in self.recipients)


# A failure beside those of wire.outcomes: the store did not answer.
TIMED_OUT = "timed_out"


class Session(Record, omit_defaults=True, tag_field="version", tag=VERSION):
    """All that is known of a session.

    `hello` is the name the client gave, "" before HELO; `extended`: it said EHLO; `errors` counts its 5xx replies;
    `explained`: it said XEXPLAIN ON; `met` counts for each rule of failures on cue how often its conditions held.

    Nothing in its state tells one session from another that has said the same, nor how often it did: what was
    answered in one is the answer in the other (wire/SPEC.md, `holds`).
    """

    hello: str = ""
    extended: bool = False
    errors: Number = 0
    transaction: Transaction | None = None
    explained: bool = False
    met: tuple[Number, ...] = ()

    @property
    def phase(self) -> Phase:
        if not self.hello:
            return Phase.CONNECTED
        if self.transaction is None:
            return Phase.GREETED
        if self.transaction.reading:
            return Phase.MESSAGE
        return Phase.RECIPIENTS if self.transaction.recipients else Phase.SENDER


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Session)


def encode(session: Session) -> bytes:
    """The session as octets, without the sender; the same session gives the same octets."""
    mail = session.transaction
    if mail is not None and mail.sender:
        session = replace(session, transaction=replace(mail, sender=""))
    return _encoder.encode(session)


def carry(session: Session) -> bytes:
    """What is to come back beside the state: the sender in <> while a transaction is under way, otherwise nothing."""
    return b"" if session.transaction is None else b"<%b>" % session.transaction.sender.encode()


def decode(state: bytes, carried: bytes) -> Session:
    """The session that `encode` and `carry` made these octets of.

    :raises NewerState: when a newer release wrote the state.
    :raises StateError: when they are no state, or do not belong together.
    """
    session = _session(state)
    mail = session.transaction
    if mail is None:
        if carried:
            raise StateError("a sender is carried, and no transaction is under way")
        return session
    if carried[:1] != b"<" or carried[-1:] != b">" or len(carried) < 2:
        raise StateError("a transaction is under way, and no sender is carried")
    try:
        return replace(session, transaction=replace(mail, sender=carried[1:-1].decode()))
    except UnicodeDecodeError:
        raise StateError("the sender that is carried is not UTF-8") from None


def _session(state: bytes) -> Session:
    try:
        return _decoder.decode(state)
    except Exception as error:  # msgspec's own, and what nesting without end leads to
        return _another(state, error)


def _another(state: bytes, fault: Exception) -> Session:
    """What is no state of this version: one of another, or none."""
    try:
        packed = msgpack.unpackb(state)
    except Exception as error:  # msgpack raises whatever its parts raise: ValueError, struct.error, RecursionError…
        raise StateError(f"not msgpack: {type(error).__name__}: {error}"[:200]) from None
    version = packed.get("version") if type(packed) is dict else None
    if type(version) is not int:
        raise StateError("not a map with a version")
    if version > VERSION:
        raise NewerState(f"version {version}, this worker knows {VERSION}")
    if version == VERSION:
        raise StateError(str(fault)[:200])
    for older in range(version, VERSION):
        if older not in UPGRADES:
            raise StateError(f"version {older} is not known any more")
        packed = UPGRADES[older](packed)
    return _session(msgpack.packb(packed | {"version": VERSION}))
