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
from dataclasses import MISSING, fields
from typing import Any

import msgpack

from wire import limits, schema
from wire.messages import Message
from wire.records import record
from wire.schema import MESSAGES, SCHEMA, Field, Piece, Plain, Union

PROTOCOL = b"correio/1"


class WireError(ValueError):
    """A message does not fit the contract; the text names the field and the rule."""


@record
class Decoded:
    """What a batch held: the messages that fit the contract, and why each other one did not."""

    messages: list[Message]
    rejected: list[str]


Bodies = Sequence[bytes]
# The table of `schema.py` becomes a function per kind for each direction, for messages are what every hop is made of.
Packer = Callable[[Any, "list[bytes]"], "Sequence[Any]"]
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
            try:
                message = _unpack(packed, MESSAGES, bodies)
            except WireError:
                message = _unpack_slowly(packed, MESSAGES, bodies)
            decoded.messages.append(message)
        except WireError as error:
            decoded.rejected.append(str(error))
    return decoded


def _unpack(packed: Any, union: Union, bodies: Bodies) -> Any:
    if type(packed) is not tuple or not packed or type(packed[0]) is not str or packed[0] not in union.kinds:
        raise WireError("not one of these kinds")
    return _UNPACKERS[packed[0]](packed, bodies)


def _unpack_slowly(packed: Any, union: Union, bodies: Bodies) -> Any:
    """A message that does not fit, or that an older peer sent, and so lacks optional fields.

    :raises WireError: with the first field that breaks a rule.
    """
    if type(packed) is not tuple or not packed or type(packed[0]) is not str:
        raise WireError("message: must be an array that starts with its kind")
    kind = packed[0]
    if kind not in union.kinds:
        raise WireError(f"message: kind {kind[:32]!r} is not known here")
    cls, rules = SCHEMA[kind]
    its_fields = fields(cls)
    given = len(packed) - 1
    if given < sum(1 for field in its_fields if field.default is MISSING):
        raise WireError(f"{kind}: field {its_fields[given].name} is missing")
    values = []
    # Not strict: a newer peer may give more fields, an older one fewer.
    for field, rule, value in zip(its_fields, rules, packed[1:], strict=False):
        try:
            values.append(_read(rule, value, bodies))
        except WireError as error:
            raise WireError(f"{kind}.{field.name}: {error}") from None
    return cls(*values)


def _read(rule: Field, value: Any, bodies: Bodies) -> Any:
    if isinstance(rule, Piece):
        return _piece(value, bodies)
    if isinstance(rule, Union):
        return _unpack_slowly(value, rule, bodies)
    if not eval(rule.fits.format("value"), vars(schema), {"value": value}):  # noqa: S307  # an expression of our table
        raise WireError(rule.rule)
    return value


def _piece(index: Any, bodies: Bodies) -> bytes:
    if type(index) is not int or index < 0:
        raise WireError("must be a whole number, 0 or more")
    if index >= len(bodies):
        raise WireError(f"names body frame {index}, the batch has {len(bodies)}")
    if len(bodies[index]) > limits.MAX_PIECE:
        raise WireError(f"body frame of {len(bodies[index])} octets, at most {limits.MAX_PIECE}")
    return bodies[index]


def _compile_packer(kind: str) -> Packer:
    """`lambda value, bodies: ("ask", value.request, value.deadline, packers[type(value.question)](...))`"""
    cls, rules = SCHEMA[kind]
    packed = [repr(kind)]
    for field, rule in zip(fields(cls), rules, strict=True):
        given = f"value.{field.name}"
        if isinstance(rule, Union):
            given = f"packers[type({given})]({given}, bodies)"
        elif isinstance(rule, Piece):
            given = f"bodies.append({given}) or len(bodies) - 1"
        packed.append(given)
    source = f"lambda value, bodies: ({', '.join(packed)},)"
    packer: Packer = eval(source, {"packers": _PACKERS})  # noqa: S307  # made of our table
    return packer


def _compile_unpacker(kind: str) -> Unpacker:
    """For what fits the contract as it is; it raises WireError, without a reason, on anything else.

    `lambda packed, bodies: cls(packed[1], unpack(packed[2], union_2, bodies))
     if len(packed) > 2 and (type(packed[1]) is int and packed[1] >= 0) else unfit()`
    """
    cls, rules = SCHEMA[kind]
    names: dict[str, Any] = {**vars(schema), "cls": cls, "unpack": _unpack, "piece": _piece, "unfit": _unfit}
    values, fit = [], [f"len(packed) > {len(rules)}"]
    for place, rule in enumerate(rules, 1):
        given = f"packed[{place}]"
        if isinstance(rule, Plain):
            fit.append(f"({rule.fits.format(given)})")
        elif isinstance(rule, Piece):
            given = f"piece({given}, bodies)"
        else:
            names[f"union_{place}"] = rule
            given = f"unpack({given}, union_{place}, bodies)"
        values.append(given)
    source = f"lambda packed, bodies: cls({', '.join(values)}) if {' and '.join(fit)} else unfit()"
    unpacker: Unpacker = eval(source, names)  # noqa: S307  # made of our table, not of anything that was sent
    return unpacker


def _unfit() -> None:
    raise WireError("it does not fit")


_PACKERS.update({cls: _compile_packer(kind) for kind, (cls, _) in SCHEMA.items()})
_UNPACKERS.update({kind: _compile_unpacker(kind) for kind in SCHEMA})
