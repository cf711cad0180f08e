"""The session's state: round trips, versions, garbage."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_worker.dialogue import state
from session_worker.dialogue.state import (
    NewerState,
    Phase,
    Recipient,
    Session,
    StateError,
    Transaction,
    decode,
    encode,
)
from wire.limits import MAX_RECIPIENTS, MAX_STATE
from wire.records import replace

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_counts = st.integers(0, 2**40)
_transactions = st.builds(
    Transaction,
    sender=_texts,
    utf8=st.booleans(),
    recipients=st.lists(st.builds(Recipient, _texts, _texts), max_size=5).map(tuple),
    reading=st.booleans(),
    staged=_counts,
    failure=_texts,
)
_sessions = st.builds(
    Session,
    hello=_texts,
    extended=st.booleans(),
    errors=_counts,
    transaction=st.none() | _transactions,
    explained=st.booleans(),
)
_MAIL = Transaction("a@b", recipients=(Recipient("c@d", "c@d"),))
_FULL = Session("h", True, 1, _MAIL)
_CARRY = b"<a@b>"


@given(_sessions)
def test_a_session_comes_back_as_it_was(session: Session) -> None:
    assert state.decode(state.encode(session), state.carry(session)) == session


@given(st.binary(max_size=200))
def test_garbage_is_told_apart_and_nothing_else_is_raised(octets: bytes) -> None:
    with contextlib.suppress(StateError, NewerState):
        state.decode(octets, b"")
    with contextlib.suppress(StateError, NewerState):
        state.decode(octets, b"<>")


def _values(packed: object) -> list[tuple[dict[str, object], str]]:
    assert isinstance(packed, dict)
    found = [(packed, name) for name in packed]
    return found + [(packed["transaction"], name) for name in packed["transaction"]]


@pytest.mark.parametrize("wrong", [None, -1, 1.5, "text", b"octets", [1], [["a"]], {"a": 1}])
def test_a_field_of_another_type_is_an_error(wrong: object) -> None:
    for number in range(len(_values(msgpack.unpackb(state.encode(_FULL))))):
        packed = msgpack.unpackb(state.encode(_FULL))
        owner, name = _values(packed)[number]
        fits = type(owner[name]) is type(wrong) and not isinstance(wrong, int | list | dict)
        if fits or (name == "transaction" and (wrong is None or isinstance(wrong, dict))):
            continue
        owner[name] = wrong
        with pytest.raises(StateError):
            state.decode(msgpack.packb(packed), _CARRY)


def test_a_field_that_has_no_default_must_be_there() -> None:
    packed = msgpack.unpackb(state.encode(_FULL))
    packed["transaction"]["recipients"] = [["c@d"]]
    with pytest.raises(StateError, match="length 2"):
        state.decode(msgpack.packb(packed), _CARRY)


def test_what_is_as_it_begins_takes_no_room() -> None:
    assert msgpack.unpackb(state.encode(Session())) == {"version": state.VERSION}
    assert state.decode(msgpack.packb({"version": state.VERSION, "errors": 0}), b"") == Session()


def test_the_state_is_the_same_for_all_senders() -> None:
    other = replace(_FULL, transaction=replace(_MAIL, sender=""))
    assert state.encode(_FULL) == state.encode(other)
    assert (state.carry(_FULL), state.carry(other), state.carry(Session())) == (b"<a@b>", b"<>", b"")


@pytest.mark.parametrize("carried", [b"", b"<", b">", b"a@b", b"<a@b", b"a@b>", b"<\xff>"])
def test_a_transaction_whose_sender_is_not_carried_is_no_state(carried: bytes) -> None:
    with pytest.raises(StateError, match="carried"):
        state.decode(state.encode(_FULL), carried)


@pytest.mark.parametrize("carried", [b"<>", b"<a@b>", b"x"])
def test_a_sender_without_a_transaction_is_no_state(carried: bytes) -> None:
    with pytest.raises(StateError, match="carried"):
        state.decode(state.encode(Session("h")), carried)


def test_keys_that_are_not_known_are_ignored() -> None:
    packed = msgpack.unpackb(state.encode(_FULL))
    packed["later"] = 1
    packed["transaction"]["later"] = 1
    packed["transaction"]["recipients"][0].append("later")
    assert state.decode(msgpack.packb(packed), _CARRY) == _FULL


def test_a_newer_version_is_for_another_worker_whatever_else_it_holds() -> None:
    with pytest.raises(NewerState):
        state.decode(msgpack.packb({"version": state.VERSION + 1}), b"")


def test_no_version_before_the_first_is_known() -> None:
    with pytest.raises(StateError, match="version 0"):
        state.decode(msgpack.packb({"version": 0}), b"")


def test_an_older_state_is_upgraded_version_by_version(monkeypatch: pytest.MonkeyPatch) -> None:
    older = msgpack.unpackb(state.encode(_FULL)) | {"version": state.VERSION - 2}
    monkeypatch.setitem(state.UPGRADES, older["version"], lambda packed: packed | {"hello": packed["hello"] + "?"})
    with pytest.raises(StateError, match="not known any more"):
        state.decode(msgpack.packb(older), _CARRY)
    monkeypatch.setitem(
        state.UPGRADES, older["version"] + 1, lambda packed: packed | {"hello": packed["hello"] + "!"}
    )
    assert state.decode(msgpack.packb(older), _CARRY) == replace(_FULL, hello=f"{_FULL.hello}?!")


def test_an_upgrade_that_makes_no_state_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(state.UPGRADES, state.VERSION - 1, lambda packed: packed | {"hello": 7})
    older = msgpack.unpackb(state.encode(_FULL)) | {"version": state.VERSION - 1}
    with pytest.raises(StateError, match="hello"):
        state.decode(msgpack.packb(older), _CARRY)


def test_the_largest_transaction_fits_the_contract() -> None:
    longest = Recipient("x" * 64 + "@" + "y" * 255, "z" * 251)
    mail = Transaction("s" * 320, recipients=(longest,) * MAX_RECIPIENTS)
    assert len(state.encode(Session("h" * 255, transaction=mail))) < MAX_STATE


def test_the_phase_follows_from_what_was_said() -> None:
    recipients = (Recipient("c@d", "c@d"),)
    assert Session().phase is Phase.CONNECTED
    assert Session("h").phase is Phase.GREETED
    assert Session("h", transaction=Transaction("")).phase is Phase.SENDER
    assert Session("h", transaction=Transaction("", recipients=recipients)).phase is Phase.RECIPIENTS
    reading = Transaction("", recipients=recipients, reading=True)
    assert Session("h", transaction=reading).phase is Phase.MESSAGE
    assert reading.mailboxes == ("c@d",)


def test_what_failures_on_cue_keep_is_in_the_state_only_where_there_is_any() -> None:
    plain = Session("h", transaction=Transaction(""))
    assert b"met" not in encode(plain)
    assert b"words" not in encode(plain)
    kept = Session("h", transaction=Transaction("", words=("drop-at-data",)), met=(0, 2))
    assert decode(encode(kept), b"<>") == kept
    with pytest.raises(StateError, match="met"):
        decode(msgpack.packb(msgpack.unpackb(encode(plain)) | {"met": ["x"]}), b"<>")
