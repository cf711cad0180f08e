"""A session between two steps, and its form as octets: a small msgpack map with a version.

Session and transaction are two values: RSET, HELO and the end of a message drop the transaction whole.

Only workers look inside the octets. `decode` raises `NewerState` for a version it does not know (another worker may),
and `StateError` for anything that is no state at all. Keys beyond the known ones are ignored, so a release may add
one that older releases can do without; one that they cannot do without needs a new version, and an entry in
`UPGRADES` that makes of each older state one of the next version, for sessions outlive the release they began with.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias, TypeVar

import msgpack

from wire.records import record

VERSION = 1

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


@record
class Recipient:
    """An accepted forward-path: the address as the client gave it, and the mailbox it delivers to."""

    address: str
    mailbox: str


@record
class Transaction:
    """A mail transaction, from MAIL to the end of data (RFC 5321 section 3.3).

    `number` counts the session's transactions from 1; `sender` is canonical, "" the null reverse-path; `utf8`:
    SMTPUTF8 was asked for. Once DATA was accepted `reading` is true, `staged` counts the octets that the store keeps
    of a large message, and `failure` is why it could not keep one: a failure of `wire.outcomes`, or `TIMED_OUT`.
    `words` are recipients' local parts that ask for failures on cue. `checked`: since when all recipients' mailboxes
    are known to be writable, in ms since the epoch; 0: it is not known of all.
    """

    number: int
    sender: str
    utf8: bool = False
    recipients: tuple[Recipient, ...] = ()
    reading: bool = False
    staged: int = 0
    failure: str = ""
    words: tuple[str, ...] = ()
    checked: int = 0

    # What `dataclasses.replace` does, at a quarter of its price; each command of a transaction needs one or two.
    def with_recipient(self, recipient: Recipient, checked: int) -> Transaction:
        """Before DATA, one more recipient, whose mailbox could be written at `checked`; 0: not known."""
        oldest = min(self.checked, checked) if self.recipients else checked
        recipients = (*self.recipients, recipient)
        return Transaction(self.number, self.sender, self.utf8, recipients, words=self.words, checked=oldest)

    def being_read(self) -> Transaction:
        """DATA was accepted."""
        return Transaction(self.number, self.sender, self.utf8, self.recipients, reading=True, words=self.words)

    @property
    def mailboxes(self) -> tuple[str, ...]:
        return tuple(recipient.mailbox for recipient in self.recipients)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(recipient.address for recipient in self.recipients)


# A failure beside those of wire.outcomes: the store did not answer.
TIMED_OUT = "timed_out"


@record
class Session:
    """All that is known of a session.

    `peer` is the client's IP address; `hello` the name it gave, "" before HELO; `extended`: it said EHLO; `errors`
    counts its 5xx replies; `transactions` the MAIL commands accepted so far; `explained`: it said XEXPLAIN ON;
    `met` counts for each rule of failures on cue how often its conditions held.
    """

    peer: str
    hello: str = ""
    extended: bool = False
    errors: int = 0
    transactions: int = 0
    transaction: Transaction | None = None
    explained: bool = False
    met: tuple[int, ...] = ()

    def with_transaction(self, mail: Transaction | None) -> Session:
        """The session with this transaction, which a new one is counted by, or without any."""
        number = mail.number if mail is not None else self.transactions
        return Session(
            self.peer, self.hello, self.extended, self.errors, number, mail, self.explained, self.met
        )  # fmt: skip

    @property
    def phase(self) -> Phase:
        if not self.hello:
            return Phase.CONNECTED
        if self.transaction is None:
            return Phase.GREETED
        if self.transaction.reading:
            return Phase.MESSAGE
        return Phase.RECIPIENTS if self.transaction.recipients else Phase.SENDER


def encode(session: Session) -> bytes:
    """The session as octets; the same session gives the same octets."""
    mail = session.transaction
    return msgpack.packb(
        {
            "version": VERSION,
            "peer": session.peer,
            "hello": session.hello,
            "extended": session.extended,
            "errors": session.errors,
            "transactions": session.transactions,
            "transaction": None
            if mail is None
            else {
                "number": mail.number,
                "sender": mail.sender,
                "utf8": mail.utf8,
                "recipients": [[recipient.address, recipient.mailbox] for recipient in mail.recipients],
                "reading": mail.reading,
                "staged": mail.staged,
                "failure": mail.failure,
                **({"words": mail.words} if mail.words else {}),
                **({"checked": mail.checked} if mail.checked else {}),
            },
            # Few sessions have these, and releases without them can do without them.
            **({"explained": True} if session.explained else {}),
            **({"met": session.met} if session.met else {}),
        }
    )


def decode(state: bytes) -> Session:
    """The session that `encode` made these octets of.

    :raises NewerState: when a newer release wrote them.
    :raises StateError: when they are no state.
    """
    try:
        packed = msgpack.unpackb(state)
    except Exception as error:  # msgpack raises whatever its parts raise: ValueError, struct.error, RecursionError…
        raise StateError(f"not msgpack: {type(error).__name__}: {error}"[:200]) from None
    if type(packed) is not dict:
        raise StateError("not a map")
    version = _field(packed, "version", int)
    if version > VERSION:
        raise NewerState(f"version {version}, this worker knows {VERSION}")
    for older in range(version, VERSION):
        if older not in UPGRADES:
            raise StateError(f"version {older} is not known any more")
        packed = UPGRADES[older](packed)
    get = packed.get
    peer, hello, extended = get("peer"), get("hello"), get("extended")
    errors, transactions, mail = get("errors"), get("transactions"), get("transaction")
    # One look where nothing is wrong, for this is done for every step; what is wrong is found out field by field.
    if not (
        type(peer) is str
        and type(hello) is str
        and type(extended) is bool
        and type(errors) is int
        and errors >= 0
        and type(transactions) is int
        and transactions >= 0
    ):
        raise _first_fault(packed, {"peer": str, "hello": str, "extended": bool, "errors": int, "transactions": int})
    return Session(
        peer,
        hello,
        extended,
        errors,
        transactions,
        None if mail is None else _transaction(mail),
        get("explained") is True,
        _tuple_of(packed, "met", int) if "met" in packed else (),
    )


def _transaction(packed: Any) -> Transaction:
    if type(packed) is not dict:
        raise StateError("transaction: not a map")
    get = packed.get
    number, sender, utf8, recipients = get("number"), get("sender"), get("utf8"), get("recipients")
    reading, staged, failure = get("reading"), get("staged"), get("failure")
    if not (
        type(number) is int
        and number >= 0
        and type(sender) is str
        and type(utf8) is bool
        and type(recipients) is list
        and type(reading) is bool
        and type(staged) is int
        and staged >= 0
        and type(failure) is str
    ):
        kinds = {"number": int, "sender": str, "utf8": bool, "recipients": list, "reading": bool, "staged": int}
        raise _first_fault(packed, kinds | {"failure": str})
    return Transaction(
        number,
        sender,
        utf8,
        tuple([_recipient(pair) for pair in recipients]),
        reading,
        staged,
        failure,
        _tuple_of(packed, "words", str) if "words" in packed else (),
        _checked(get("checked", 0)),
    )


def _checked(time: Any) -> int:
    if type(time) is not int or time < 0:
        raise StateError("checked: not a time")
    return time


def _first_fault(packed: Packed, kinds: dict[str, type[Any]]) -> StateError:
    """What is wrong with the first of these fields that is; a number is negative where its type is right."""
    for name, kind in kinds.items():
        if type(packed.get(name)) is not kind:
            return StateError(f"{name}: not {kind.__name__}")
        if kind is int and packed[name] < 0:
            return StateError(f"{name}: negative")
    raise AssertionError("nothing is wrong with any of them")


def _recipient(pair: Any) -> Recipient:
    if type(pair) is not list or len(pair) < 2 or type(pair[0]) is not str or type(pair[1]) is not str:
        raise StateError("recipients: not pairs of address and mailbox")
    return Recipient(pair[0], pair[1])


Value = TypeVar("Value")


def _field(packed: Packed, name: str, kind: type[Value]) -> Value:
    value = packed.get(name)
    if type(value) is not kind:
        raise StateError(f"{name}: not {kind.__name__}")
    return value


def _tuple_of(packed: Packed, name: str, kind: type[Value]) -> tuple[Value, ...]:
    values = packed.get(name, [])
    if type(values) is not list or any(type(value) is not kind for value in values):
        raise StateError(f"{name}: not an array of {kind.__name__}")
    return tuple(values)
