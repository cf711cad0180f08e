"""Messages to ZeroMQ frames and back.

A batch is `[PROTOCOL, envelope, body, body, ...]`. The envelope is a msgpack array of messages, each an array of its
kind and its fields in the order of its class. Octets of mail (`data` fields) are frames of their own, named by their
index, so that they never pass through msgpack.

`decode` never raises on bad input: it returns the good messages and one reason for each bad one. A batch that
cannot be taken apart at all gives no message and one reason. Fields beyond those known are ignored, which is how a
newer peer may add some.

msgspec makes values of octets and holds each field to its type (`fields.py`) in one go. It is asked for a batch as a
whole; only one that breaks a rule is taken apart, message by message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import msgpack
import msgspec
from msgspec.structs import force_setattr

from wire import limits
from wire.messages import Ask, Body, Deliver, Input, Message, Next, Question, Stage, Step
from wire.outcomes import Said
from wire.records import Record, replace

PROTOCOL = b"correio/1"
# Kind → class, of all that an envelope may hold.
KINDS: dict[str, type[Any]] = {
    cls.__struct_config__.tag: cls for union in (Message, Input, Next, Question, Said) for cls in get_args(union)
}
# The fields that hold a value with a kind.
_UNIONS = frozenset({"input", "next", "then", "question", "outcome"})

_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(list[Message])
_messages = msgspec.msgpack.Decoder(Message)
_parts = msgspec.msgpack.Decoder(list[msgspec.Raw])

# How msgspec ends the text of an error: "... - at `$[4][1]`".
_PLACE = re.compile(r" - at `\$([^`]*)`$")
_TOO_SHORT = re.compile(r"Expected `array` of at least length \d+, got (\d+)$")


class WireError(ValueError):
    """A message does not fit the contract; the text names the field and the rule."""


class Decoded(Record):
    """What a batch held: the messages that fit the contract, and why each other one did not."""

    messages: list[Message]
    rejected: list[str]


def encode(batch: Iterable[Message]) -> list[bytes]:
    """Turn messages into the frames of one ZeroMQ message.

    :param batch: messages in the order in which they are to be handled.
    :returns: the protocol frame, the envelope, and one frame for each body.
    """
    frames = [PROTOCOL, b""]
    frames[1] = _encoder.encode(
        [
            _without_piece(message, frames) if message.__class__ is Step or message.__class__ is Ask else message
            for message in batch
        ]
    )
    return frames


def decode(frames: Sequence[bytes]) -> Decoded:
    """Take a batch apart; what does not fit the contract becomes a reason, never an exception.

    :param frames: the frames of one ZeroMQ message, without any routing frame.
    """
    if len(frames) < 2:
        return _rejected(f"{len(frames)} frames, at least 2 are needed")
    if frames[0] != PROTOCOL:
        return _rejected(f"protocol {bytes(frames[0][:32])!r}, this is {PROTOCOL!r}")
    if len(frames[1]) > limits.MAX_ENVELOPE:
        return _rejected(f"envelope of {len(frames[1])} octets, at most {limits.MAX_ENVELOPE}")
    try:
        batch = _batches.decode(frames[1])
        if len(batch) <= limits.MAX_BATCH:
            for message in batch:
                if message.__class__ is Step or message.__class__ is Ask:
                    _place_piece(message, frames)
            return Decoded(batch, [])
    except Exception:  # noqa: S110  # whatever it is: the slow way finds it again, and its place
        pass
    return _one_by_one(frames)


def _one_by_one(frames: Sequence[bytes]) -> Decoded:
    """The same for a batch in which something is wrong."""
    try:
        parts = _parts.decode(frames[1])
    except msgspec.ValidationError:
        return _rejected(f"must be an array of at most {limits.MAX_BATCH} messages")
    except Exception as error:  # msgspec's own, and what nesting without end leads to
        return _rejected(f"not msgpack: {type(error).__name__}: {error}"[:200])
    if len(parts) > limits.MAX_BATCH:
        return _rejected(f"must be an array of at most {limits.MAX_BATCH} messages")
    decoded = Decoded([], [])
    for part in parts:
        try:
            message = _messages.decode(part)
            _place_piece(message, frames)
        except WireError as error:
            decoded.rejected.append(str(error))
        except Exception as error:
            decoded.rejected.append(_reason(bytes(part), str(error)))
        else:
            decoded.messages.append(message)
    return decoded


def _rejected(why: str) -> Decoded:
    return Decoded([], [f"batch: {why}"])


# ---------------------------------------------------------------- octets of mail


def _without_piece(message: Message, frames: list[bytes]) -> Message:
    """The message as it stands in the envelope: its octets of mail are put among the frames."""
    if isinstance(message, Step):
        body = message.input
        return replace(message, input=_named(body, frames)) if body.__class__ is Body else message
    assert isinstance(message, Ask)
    question = message.question
    if question.__class__ is Deliver or question.__class__ is Stage:
        return replace(message, question=_named(question, frames))
    return message


def _named(part: Any, frames: list[bytes]) -> Any:
    frames.append(part.data)
    return replace(part, data=len(frames) - 3)


def _place_piece(message: Message, frames: Sequence[bytes]) -> None:
    """Put the octets of mail where the envelope names their frame; nobody else has the message yet.

    :raises WireError: for a name of none.
    """
    if isinstance(message, Step):
        if message.input.__class__ is Body:
            force_setattr(message.input, "data", _piece("step.input: body.data", message.input, frames))
    elif isinstance(message, Ask):
        question = message.question
        if question.__class__ is Deliver:
            force_setattr(question, "data", _piece("ask.question: deliver.data", question, frames))
        elif question.__class__ is Stage:
            force_setattr(question, "data", _piece("ask.question: stage.data", question, frames))


def _piece(place: str, part: Any, frames: Sequence[bytes]) -> bytes:
    index = part.data
    if type(index) is not int:
        raise WireError(f"{place}: must be a whole number, 0 or more")
    if index >= len(frames) - 2:
        raise WireError(f"{place}: names body frame {index}, the batch has {len(frames) - 2}")
    octets = frames[index + 2]
    if len(octets) > limits.MAX_PIECE:
        raise WireError(f"{place}: body frame of {len(octets)} octets, at most {limits.MAX_PIECE}")
    return octets


# ---------------------------------------------------------------- what is wrong, in words


def _reason(octets: bytes, error: str) -> str:
    """What msgspec says of a message, with names of fields for the indices by which it knows them."""
    try:
        packed = msgpack.unpackb(octets, use_list=False, strict_map_key=False, unicode_errors="replace")
    except Exception as unreadable:  # msgpack raises whatever its parts raise
        return f"message: not msgpack: {type(unreadable).__name__}: {unreadable}"[:200]
    where = _PLACE.search(error)
    rule = error[: where.start()] if where else error
    return _named_place(packed, [int(index) for index in re.findall(r"\d+", where[1])] if where else [], rule)


def _named_place(packed: Any, place: list[int], rule: str) -> str:
    if type(packed) is not tuple or not packed or type(packed[0]) is not str:
        return "message: must be an array that starts with its kind"
    kind = packed[0]
    if kind not in KINDS or place[:1] == [0]:
        return f"message: kind {kind[:32]!r} is not known here"
    fields = KINDS[kind].__struct_fields__
    if not place:
        short = _TOO_SHORT.match(rule)
        return f"{kind}: field {fields[int(short[1]) - 1]} is missing" if short else f"{kind}: {rule}"
    field = fields[place[0] - 1]
    value = packed[place[0]]
    if field in _UNIONS and type(value) is tuple:
        return f"{kind}.{field}: {_named_place(value, place[1:], rule)}"
    return f"{kind}.{field}: {rule}"
