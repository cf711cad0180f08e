"""What fields may hold: each limit of the contract, met and passed by one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wire import fields, limits


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        (fields.Number, [0, 2**63]),
        (fields.Holds, [0, limits.MAX_HOLDS]),
        (fields.Id, ["x", "x" * limits.MAX_ID]),
        (fields.Name, ["x", "é" * limits.MAX_TEXT]),
        (fields.Text, ["", "x" * limits.MAX_TEXT]),
        (fields.State, [b"", bytes(limits.MAX_STATE)]),
        (fields.Replies, [b"", bytes(limits.MAX_REPLIES)]),
        (fields.Trace, [b"", bytes(limits.MAX_TRACE)]),
        (fields.SomeLines, [(b"",), (None, b"x" * limits.MAX_LINE), (b"x",) * limits.MAX_LINES]),
        (fields.Mailboxes, [("x",), ("x",) * limits.MAX_RECIPIENTS]),
        (fields.Sessions, [None, (), ("x", "x" * limits.MAX_ID)]),
    ],
)
def test_what_is_within_the_limits_fits(kind: Any, fits: list[Any]) -> None:
    for value in fits:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind) == value


@pytest.mark.parametrize(
    ("kind", "unfit"),
    [
        (fields.Number, [-1, 1.0, True, None, "1"]),
        (fields.Holds, [-1, limits.MAX_HOLDS + 1]),
        (fields.Id, ["", "x" * (limits.MAX_ID + 1), b"x", 1]),
        (fields.Name, ["", "x" * (limits.MAX_TEXT + 1)]),
        (fields.Text, ["x" * (limits.MAX_TEXT + 1), None]),
        (fields.State, [bytes(limits.MAX_STATE + 1), ""]),
        (fields.Replies, [bytes(limits.MAX_REPLIES + 1), ""]),
        (fields.Trace, [bytes(limits.MAX_TRACE + 1), ""]),
        (fields.SomeLines, [(), (b"x" * (limits.MAX_LINE + 1),), (b"x",) * (limits.MAX_LINES + 1), ("x",), b"x"]),
        (fields.Mailboxes, [(), ("",), ("x",) * (limits.MAX_RECIPIENTS + 1), (b"x",)]),
        (fields.Sessions, [("",), ("x" * (limits.MAX_ID + 1),), (1,)]),
    ],
)
def test_what_is_not_does_not(kind: Any, unfit: list[Any]) -> None:
    for value in unfit:
        with pytest.raises(msgspec.ValidationError):
            msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)
