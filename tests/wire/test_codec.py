"""The codec: round trips, golden frames, and every way of not fitting the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import any_message
from wire import limits, messages, outcomes
from wire.codec import KINDS, PROTOCOL, decode, encode
from wire.fields import WireRecord
from wire.records import Record

GOLDEN = Path(__file__).with_name("golden_frames.txt")
PING = ["ping"]


def golden_lines() -> list[str]:
    return [line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]


def envelope(*packed: Any) -> list[bytes]:
    return [PROTOCOL, msgpack.packb(list(packed))]


@given(st.lists(any_message, max_size=8))
def test_what_was_encoded_is_decoded_as_it_was(batch: list[messages.Message]) -> None:
    decoded = decode(encode(batch))
    assert decoded.messages == batch
    assert decoded.rejected == []


_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**63) | st.text(max_size=70) | st.binary(max_size=70),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(any_message, st.data())
def test_a_message_means_the_same_alone_and_beside_a_bad_one(message: messages.Message, data: st.DataObject) -> None:
    """A batch in which something is wrong is read in another way. Here a field becomes anything, or is lost."""
    _, octets, *bodies = encode([message])
    (packed,) = msgpack.unpackb(octets)
    nested = [field for field in packed if isinstance(field, list) and field]
    within = data.draw(st.sampled_from([packed, *nested]))
    place = data.draw(st.integers(0, len(within) - 1))
    within[place:] = data.draw(st.just([]) | st.just([data.draw(_anything), *within[place + 1 :]]))
    alone = decode([*envelope(packed), *bodies])
    beside = decode([*envelope(packed, ["nonsense"]), *bodies])
    assert len(alone.messages) + len(alone.rejected) == 1
    assert beside.messages == alone.messages
    assert beside.rejected == [*alone.rejected, "message: kind 'nonsense' is not known here"]


@pytest.mark.parametrize("line", golden_lines(), ids=lambda line: line.split("= ")[1][:40])
def test_golden_frames_mean_what_they_meant(line: str) -> None:
    left, _, right = line.partition(" = ")
    frames = [b"" if frame == "-" else bytes.fromhex(frame) for frame in left.split()]
    names = {**vars(messages), **vars(outcomes)}
    expected = [eval(text, names) for text in right.split("; ")]  # noqa: S307  # our own file of values
    assert decode(frames).messages == expected
    assert encode(expected) == frames


def test_every_kind_of_value_has_a_golden_frame() -> None:
    text = GOLDEN.read_text()
    assert {cls.__name__ for cls in KINDS.values() if f"{cls.__name__}(" not in text} == set()


def test_every_value_of_the_contract_has_a_kind() -> None:
    every = [each for module in (messages, outcomes) for each in vars(module).values() if isinstance(each, type)]
    values = {each for each in every if issubclass(each, Record) and each not in (Record, WireRecord)}
    assert values - set(KINDS.values()) == {outcomes.TimedOut, messages.Client, messages.Told, messages.Ahead}, (
        "TimedOut is never sent; the others stand where nothing else can"
    )


def test_every_kind_is_in_the_specification() -> None:
    spec = (Path(__file__).parents[2] / "wire" / "SPEC.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in spec] == []


def test_the_numbers_of_the_specification_are_those_of_the_code() -> None:
    assert limits.MAX_BATCH == 10_000
    assert limits.MAX_ENVELOPE == 16 * 1024 * 1024
    assert (limits.BODY_PIECE, limits.MAX_PIECE) == (256 * 1024, 1024 * 1024)
    assert (limits.SMALL_STEP, limits.IN_FLIGHT) == (32 * 1024, 2 * 1024 * 1024)
    assert (limits.MAX_STATE, limits.MAX_REPLIES, limits.MAX_CARRY) == (1024 * 1024, 1024 * 1024, 4096)
    assert (limits.MAX_LINES, limits.MAX_LINE, limits.MAX_TRACE) == (128, 2048, 4096)
    assert (limits.MAX_ID, limits.MAX_TEXT, limits.MAX_RECIPIENTS) == (64, 1024, 1000)
    assert limits.MAX_HOLDS == 1000


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_octets_of_another_protocol_are_one_reason_and_no_message(frames: list[bytes]) -> None:
    decoded = decode(frames)
    assert decoded.messages == []
    assert len(decoded.rejected) == 1


@given(st.binary(max_size=80))
def test_an_envelope_of_any_octets_never_raises(octets: bytes) -> None:
    decoded = decode([PROTOCOL, octets])
    assert decoded.messages == []
    assert decoded.rejected or msgpack.unpackb(octets) == [], "only an empty batch has nothing to say"


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)
kinds = st.sampled_from(["step", "done", "refused", "alive", "gone", "ask", "answer", "ping", "pong"])


@given(kinds, st.lists(json_like, max_size=8))
def test_a_known_kind_with_any_fields_is_taken_or_rejected_with_its_name(kind: str, fields: list[Any]) -> None:
    decoded = decode(envelope([kind, *fields]))
    assert len(decoded.messages) + len(decoded.rejected) == 1
    assert all(reason.startswith(kind) for reason in decoded.rejected)


@given(st.lists(any_message, min_size=1, max_size=3), st.data())
def test_a_cut_or_changed_envelope_never_raises(batch: list[messages.Message], data: st.DataObject) -> None:
    frames = encode(batch)
    position = data.draw(st.integers(0, len(frames[1]) - 1))
    changed = bytearray(frames[1])
    changed[position] = data.draw(st.integers(0, 255))
    decode([frames[0], bytes(changed), *frames[2:]])
    decode([frames[0], frames[1][:position], *frames[2:]])


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "batch: 0 frames"),
        ([PROTOCOL], "batch: 1 frames"),
        ([b"correio/2", msgpack.packb([])], "batch: protocol b'correio/2'"),
        ([PROTOCOL, b"\xc1"], "batch: not msgpack"),
        ([PROTOCOL, b""], "batch: not msgpack"),
        ([PROTOCOL, msgpack.packb([]) + b"x"], "batch: not msgpack"),
        ([PROTOCOL, msgpack.packb({})], "batch: must be an array"),
        ([PROTOCOL, b"\x91" * 5000], "batch: not msgpack"),
        ([PROTOCOL, bytes(limits.MAX_ENVELOPE + 1)], "batch: envelope of"),
        (envelope(*[PING] * (limits.MAX_BATCH + 1)), "batch: must be an array of at most"),
        (envelope("ping"), "message: must be an array"),
        (envelope([]), "message: must be an array"),
        (envelope([1]), "message: must be an array"),
        (envelope(["lines", [b"x"]]), "message: kind 'lines' is not known here"),
        (envelope(["pong"]), "pong: field instance is missing"),
        (envelope(["pong", b"x"]), "pong.instance: Expected `str`, got `bytes`"),
        (envelope(["pong", ""]), "pong.instance: Expected `str` of length >= 1"),
        (envelope(["step", "s", -1, 0, b"", ["disconnected"]]), "step.seq: Expected `int` >= 0"),
        (envelope(["step", "s", True, 0, b"", ["disconnected"]]), "step.seq: Expected `int`, got `bool`"),
        (envelope(["step", "s", 1, 0, "", ["disconnected"]]), "step.state: Expected `bytes`, got `str`"),
        (envelope(["step", "s", 1, 0, b"", ["disconnect"]]), "step.input: message: kind 'disconnect'"),
        (envelope(["step", "s" * 65, 1, 0, b"", ["disconnected"]]), "step.session: Expected `str` of length <= 64"),
        (envelope(["step", "s", 1, 0, b"", ["lines", []]]), "step.input: lines.lines: Expected `array` of length"),
        (envelope(["step", "s", 1, 0, b"", ["lines", [b"x" * 2049]]]), "step.input: lines.lines: Expected `bytes`"),
        (envelope(["step", "s", 1, 0, b"", ["body", 0, 0, True]]), "step.input: body.data: names body frame 0"),
        (envelope(["step", "s", 1, 0, b"", ["body", b"x", 0, True]]), "step.input: body.data: must be a whole"),
        (envelope(["step", "s", 1, 0, b"", 7]), "step.input: Expected `array`, got `int`"),
        (envelope(["done", "s", 1, 0, b"", b"", ["injected", 1, "x", [""]]]), "done.next: injected.then: message"),
        ([PROTOCOL, b"\x91\x91\xa4\xff\xfe\xfd\xfc"], "message: kind"),
        (envelope(["done", "s", 1, 0, b"", b"", ["read-body"]]), "done.next: read-body: field limit is missing"),
        (envelope(["step", "s", 1, 0, b"", ["disconnected"], [7]]), "step.client: Expected `str`"),
        (envelope(["done", "s", 1, 0, b"", b"", ["close"], False, None, 1001]), "done.holds: Expected `int` <= 1000"),
        (envelope(["done", "s", 1, 0, b"", b"", ["close"], False, bytes(4097)]), "done.carry: Expected `bytes` of"),
        (envelope(["done", "s", 1, 0, b"", b"", ["close"], False, None, 0, [["", 0]] * 129]), "done.told: Expected"),
        (envelope(["answer", 1, ["found", "x", 1001]]), "answer.outcome: found.holds: Expected `int` <= 1000"),
        (envelope(["answer", 1, ["found", "x", 0, 1001]]), "answer.outcome: found.writable_for: Expected `int` <="),
        (envelope(["answer", 1, ["writable", -1]]), "answer.outcome: writable.holds: Expected `int` >= 0"),
        (envelope(["answer", 1, ["writable", 1001]]), "answer.outcome: writable.holds: Expected `int` <= 1000"),
        (envelope(["refused", "s", 1, "tired"]), "refused.reason: Invalid enum value 'tired'"),
        (envelope(["ask", 1, 1, ["check", []]]), "ask.question: check.mailboxes: Expected `array` of length >= 1"),
        (envelope(["ask", 1, 1, ["check", [7]]]), "ask.question: check.mailboxes: Expected `str`, got `int`"),
        (envelope(["answer", 1, ["failed", "boom", ""]]), "answer.outcome: failed.kind: Invalid enum value 'boom'"),
        (envelope(["answer", 1, ["timed-out"]]), "answer.outcome: message: kind 'timed-out'"),
        (
            [*envelope(["ask", 1, 1, ["stage", "d", 0, 0]]), bytes(limits.MAX_PIECE + 1)],
            "ask.question: stage.data: body frame",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_rejected_with_the_place_and_the_rule(frames: list[bytes], reason: str) -> None:
    decoded = decode(frames)
    assert decoded.messages == []
    assert len(decoded.rejected) == 1
    assert decoded.rejected[0].startswith(reason)


def test_a_bad_message_costs_its_neighbours_nothing() -> None:
    decoded = decode(envelope(PING, ["pong"], ["nonsense"], ["pong", "x"]))
    assert decoded.messages == [messages.Ping(), messages.Pong("x")]
    assert len(decoded.rejected) == 2


def test_fields_of_a_newer_peer_are_ignored() -> None:
    decoded = decode(envelope(["pong", "x", 0, {"load": 3}], ["alive", "9.9", False, None, b"", 0, "more"]))
    assert decoded.messages == [messages.Pong("x"), messages.WorkerAlive("9.9", False)]


def test_optional_fields_of_an_older_peer_have_their_default() -> None:
    decoded = decode(envelope(["alive", "0.0"], ["done", "s", 1, 0, b"", b"", ["close"]]))
    assert decoded.messages == [
        messages.WorkerAlive("0.0", False),
        messages.StepDone("s", 1, 0, b"", b"", messages.Close(), False),
    ]


def test_octets_of_mail_are_frames_of_their_own() -> None:
    body = bytes(100_000)
    frames = encode([messages.Ask(1, 2, messages.Stage("d", 0, body))])
    assert frames[2] is body
    assert len(frames[1]) < 100
