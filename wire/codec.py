"""Messages to ZeroMQ frames and back.

A batch is `[PROTOCOL, envelope, body, body, ...]`. The envelope is a msgpack array of messages, each an array of its
kind and its fields in the order of its dataclass. Octets of mail (`data` fields) are frames of their own, named by
their index, so that they never pass through msgpack.

`decode` never raises on bad input: it returns the good messages and one reason for each bad one. A batch that
cannot be taken apart at all gives no message and one reason. Fields beyond those known are ignored, which is how a
newer peer may add some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from typing import Any

import msgpack

from wire import limits, messages, outcomes
from wire.messages import Message

PROTOCOL = b"correio/1"


class WireError(ValueError):
    """A message does not fit the contract; the text names the field and the rule."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch held: the messages that fit the contract, and why each other one did not."""

    messages: list[Message]
    rejected: list[str]


# A check takes a decoded value and the batch's body frames, and gives back the value to use, or raises WireError with
# the rule alone.
Bodies = Sequence[bytes]
Check = Callable[[Any, Bodies], Any]


def _uint(value: Any, _bodies: Bodies = ()) -> int:
    if type(value) is not int or value < 0:
        raise WireError("must be a whole number, 0 or more")
    return value


def _flag(value: Any, _bodies: Bodies = ()) -> bool:
    if type(value) is not bool:
        raise WireError("must be true or false")
    return value


def _text(limit: int, *, empty: bool = False) -> Check:
    def check(value: Any, _bodies: Bodies) -> str:
        if type(value) is not str or len(value) > limit or not (value or empty):
            raise WireError(f"must be text of {0 if empty else 1} to {limit} characters")
        return value

    return check


def _octets(limit: int) -> Check:
    def check(value: Any, _bodies: Bodies) -> bytes:
        if type(value) is not bytes or len(value) > limit:
            raise WireError(f"must be at most {limit} octets")
        return value

    return check


def _one_of(*allowed: str) -> Check:
    def check(value: Any, _bodies: Bodies) -> str:
        if value not in allowed:
            raise WireError(f"must be one of {', '.join(sorted(allowed))}")
        return str(value)

    return check


def _lines(value: Any, _bodies: Bodies = ()) -> tuple[bytes | None, ...]:
    if type(value) is not tuple or not 0 < len(value) <= limits.MAX_LINES:
        raise WireError(f"must be 1 to {limits.MAX_LINES} lines")
    for line in value:
        if line is not None and (type(line) is not bytes or len(line) > limits.MAX_LINE):
            raise WireError(f"must be lines of at most {limits.MAX_LINE} octets")
    return value


def _sessions(value: Any, _bodies: Bodies = ()) -> tuple[str, ...] | None:
    if value is None:
        return None
    if type(value) is not tuple or not all(type(name) is str and len(name) <= limits.MAX_ID for name in value):
        raise WireError(f"must be nil or session ids of at most {limits.MAX_ID} characters")
    return value


def _mailboxes(value: Any, _bodies: Bodies = ()) -> tuple[str, ...]:
    if type(value) is not tuple or not 0 < len(value) <= limits.MAX_RECIPIENTS:
        raise WireError(f"must be 1 to {limits.MAX_RECIPIENTS} mailboxes")
    for name in value:
        if type(name) is not str or not 0 < len(name) <= limits.MAX_TEXT:
            raise WireError(f"must be mailbox names of 1 to {limits.MAX_TEXT} characters")
    return value


def _piece(value: Any, bodies: Bodies) -> bytes:
    """A field whose octets are a frame of their own."""
    index = _uint(value)
    if index >= len(bodies):
        raise WireError(f"names body frame {index}, the batch has {len(bodies)}")
    if len(bodies[index]) > limits.MAX_PIECE:
        raise WireError(f"body frame of {len(bodies[index])} octets, at most {limits.MAX_PIECE}")
    return bodies[index]


_id = _text(limits.MAX_ID)
_name = _text(limits.MAX_TEXT)
_any_text = _text(limits.MAX_TEXT, empty=True)


@dataclass(frozen=True, slots=True)
class _Union:
    """A field that is itself a tagged value, one of these kinds."""

    kinds: frozenset[str]


_INPUTS = _Union(frozenset({"connected", "lines", "body", "disconnected"}))
_AFTER_ALL = frozenset({"read-lines", "read-body", "close"})
_NEXTS = _Union(_AFTER_ALL | {"injected"})
_QUESTIONS = _Union(frozenset({"lookup", "check", "stage", "deliver", "discard"}))
_OUTCOMES = _Union(
    frozenset(
        {
            "found",
            "no-user",
            "not-ours",
            "writable",
            "unwritable",
            "staged",
            "delivered",
            "discarded",
            "failed",
        }
    )
)

# The whole contract in one table: kind → class and the check of each field, in the order of the dataclass.
_SCHEMA: dict[str, tuple[type[Any], tuple[Check | _Union, ...]]] = {
    "step": (messages.Step, (_id, _uint, _uint, _octets(limits.MAX_STATE), _INPUTS)),
    "connected": (messages.Connected, (_name,)),
    "lines": (messages.Lines, (_lines,)),
    "body": (messages.Body, (_piece, _uint, _flag, _flag, _flag)),
    "disconnected": (messages.Disconnected, ()),
    "done": (
        messages.StepDone,
        (_id, _uint, _uint, _octets(limits.MAX_STATE), _octets(limits.MAX_REPLIES), _NEXTS, _flag),
    ),
    "read-lines": (messages.ReadLines, ()),
    "read-body": (messages.ReadBody, (_uint,)),
    "close": (messages.Close, ()),
    "injected": (messages.Injected, (_uint, _name, _Union(_AFTER_ALL))),
    "refused": (messages.StepRefused, (_id, _uint, _one_of("draining", "state"))),
    "alive": (messages.WorkerAlive, (_name, _uint, _flag, _sessions)),
    "gone": (messages.WorkerGone, ()),
    "ask": (messages.Ask, (_uint, _uint, _QUESTIONS)),
    "lookup": (messages.Lookup, (_name, _any_text)),
    "check": (messages.Check, (_mailboxes,)),
    "stage": (messages.Stage, (_id, _uint, _piece)),
    "deliver": (
        messages.Deliver,
        (_id, _uint, _any_text, _mailboxes, _octets(limits.MAX_TRACE), _uint, _piece),
    ),
    "discard": (messages.Discard, (_id,)),
    "ping": (messages.Ping, ()),
    "answer": (messages.Answer, (_uint, _OUTCOMES)),
    "found": (outcomes.Found, (_name,)),
    "no-user": (outcomes.NoSuchUser, ()),
    "not-ours": (outcomes.NotOurDomain, ()),
    "writable": (outcomes.Writable, ()),
    "unwritable": (outcomes.Unwritable, (_name, _any_text)),
    "staged": (outcomes.Staged, (_uint,)),
    "delivered": (outcomes.Delivered, (_flag,)),
    "discarded": (outcomes.Discarded, ()),
    "failed": (outcomes.Failed, (_one_of(*outcomes.FAILURES), _any_text)),
    "pong": (messages.Pong, (_name,)),
}
_MESSAGES = _Union(frozenset({"step", "done", "refused", "alive", "gone", "ask", "answer", "ping", "pong"}))
_NAMES = {kind: tuple(field.name for field in fields(cls)) for kind, (cls, _) in _SCHEMA.items()}

# The table above, compiled once into a function per kind for each direction: messages are what every hop is made of.
Packer = Callable[[Any, list[bytes]], "list[Any]"]
Unpacker = Callable[["tuple[Any, ...]", Bodies], Any]
_PACKERS: dict[type[Any], Packer] = {}
_UNPACKERS: dict[str, Unpacker] = {}


def encode(batch: Iterable[Message]) -> list[bytes]:
    """Turn messages into the frames of one ZeroMQ message.

    :param batch: messages in the order in which they are to be handled.
    :returns: the protocol frame, the envelope, and one frame for each body.
    """
    bodies: list[bytes] = []
    envelope = msgpack.packb([_PACKERS[type(message)](message, bodies) for message in batch])
    return [PROTOCOL, envelope, *bodies]


def _packer(kind: str) -> Packer:
    checks = _SCHEMA[kind][1]
    names = _NAMES[kind]
    pieces = [position for position, check in enumerate(checks, 1) if check is _piece]
    unions = [position for position, check in enumerate(checks, 1) if type(check) is _Union]
    if not names:
        packed = [kind]
        return lambda _value, _bodies: packed
    # attrgetter gives a tuple for several names only.
    values_of: Callable[[Any], Iterable[Any]] = attrgetter(*names, names[0])
    count = len(names) + 1

    def pack(value: Any, bodies: list[bytes]) -> list[Any]:
        packed = [kind, *values_of(value)][:count]
        for position in unions:
            inner = packed[position]
            packed[position] = _PACKERS[type(inner)](inner, bodies)
        for position in pieces:
            bodies.append(packed[position])
            packed[position] = len(bodies) - 1
        return packed

    return pack


def decode(frames: Sequence[bytes]) -> Decoded:
    """Take a batch apart; what does not fit the contract becomes a reason, never an exception.

    :param frames: the frames of one ZeroMQ message, without any routing frame.
    """
    decoded = Decoded([], [])
    if len(frames) < 2:
        decoded.rejected.append(f"batch: {len(frames)} frames, at least 2 are needed")
        return decoded
    if frames[0] != PROTOCOL:
        decoded.rejected.append(f"batch: protocol {bytes(frames[0][:32])!r}, this is {PROTOCOL!r}")
        return decoded
    if len(frames[1]) > limits.MAX_ENVELOPE:
        decoded.rejected.append(f"batch: envelope of {len(frames[1])} octets, at most {limits.MAX_ENVELOPE}")
        return decoded
    try:
        envelope = msgpack.unpackb(frames[1], use_list=False, strict_map_key=False)
    except Exception as error:  # msgpack raises whatever its parts raise: ValueError, struct.error, RecursionError…
        decoded.rejected.append(f"batch: not msgpack: {type(error).__name__}: {error}"[:200])
        return decoded
    if type(envelope) is not tuple or len(envelope) > limits.MAX_BATCH:
        decoded.rejected.append(f"batch: must be an array of at most {limits.MAX_BATCH} messages")
        return decoded
    bodies = frames[2:]
    for packed in envelope:
        try:
            decoded.messages.append(_unpack(packed, _MESSAGES, bodies))
        except WireError as error:
            decoded.rejected.append(str(error))
    return decoded


def _unpack(packed: Any, union: _Union, bodies: Bodies) -> Any:
    if type(packed) is not tuple or not packed or type(packed[0]) is not str:
        raise WireError("message: must be an array that starts with its kind")
    kind = packed[0]
    if kind not in union.kinds:
        raise WireError(f"message: kind {kind[:32]!r} is not known here")
    return _UNPACKERS[kind](packed, bodies)


def _unpacker(kind: str) -> Unpacker:
    cls, checks = _SCHEMA[kind]
    names = _NAMES[kind]
    required = sum(1 for field in fields(cls) if field.default is MISSING)
    readers = [_reader(check) for check in checks]

    def unpack(packed: tuple[Any, ...], bodies: Bodies) -> Any:
        given = len(packed) - 1
        if given < required:
            raise WireError(f"{kind}: field {names[given]} is missing")
        values: list[Any] = []
        try:
            # Not strict: a newer peer may give more fields, an older one fewer.
            for value, read in zip(packed[1:], readers, strict=False):
                values.append(read(value, bodies))
        except WireError as error:
            raise WireError(f"{kind}.{names[len(values)]}: {error}") from None
        return cls(*values)

    return unpack


def _reader(check: Check | _Union) -> Check:
    """What turns one packed field into its value, or raises WireError with the rule alone."""
    if not isinstance(check, _Union):
        return check
    return lambda value, bodies: _unpack(value, check, bodies)


_PACKERS.update({cls: _packer(kind) for kind, (cls, _) in _SCHEMA.items()})
_UNPACKERS.update({kind: _unpacker(kind) for kind in _SCHEMA})
