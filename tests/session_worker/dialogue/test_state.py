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
    peer=_texts,
    hello=_texts,
    extended=st.booleans(),
    errors=_counts,
    transaction=st.none() | _transactions,
    explained=st.booleans(),
)
_FULL = Session("127.0.0.1", "h", True, 1, Transaction("a@b", recipients=(Recipient("c@d", "c@d"),)))


@given(_sessions)
def test_a_session_comes_back_as_it_was(session: Session) -> None:
    assert state.decode(state.encode(session)) == session


@given(st.binary(max_size=200))
def test_garbage_is_told_apart_and_nothing_else_is_raised(octets: bytes) -> None:
    with contextlib.suppress(StateError, NewerState):
        state.decode(octets)


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
        if fits or (name == "transaction" and wrong is None):
            continue
        owner[name] = wrong
        with pytest.raises(StateError):
            state.decode(msgpack.packb(packed))


def test_a_field_that_has_no_default_must_be_there() -> None:
    for within, name in (("", "peer"), ("transaction", "sender")):
        packed = msgpack.unpackb(state.encode(_FULL))
        del (packed[within] if within else packed)[name]
        with pytest.raises(StateError, match=name):
            state.decode(msgpack.packb(packed))


def test_what_is_as_it_begins_takes_no_room() -> None:
    assert msgpack.unpackb(state.encode(Session("::1"))) == {"version": state.VERSION, "peer": "::1"}
    assert state.decode(msgpack.packb({"version": state.VERSION, "peer": "::1", "errors": 0})) == Session("::1")


def test_keys_that_are_not_known_are_ignored() -> None:
    packed = msgpack.unpackb(state.encode(_FULL))
    packed["later"] = 1
    packed["transaction"]["later"] = 1
    packed["transaction"]["recipients"][0].append("later")
    assert state.decode(msgpack.packb(packed)) == _FULL


def test_the_time_at_which_a_release_before_epochs_had_looked_at_the_mailboxes_is_none() -> None:
    mail = Transaction("a@b", recipients=(Recipient("m@b", "m@b"),))
    packed = msgpack.unpackb(encode(Session("::1", "h", transaction=mail)))
    packed["transaction"]["checked"] = 1_795_417_555_000
    assert decode(msgpack.packb(packed)).transaction == mail


def test_a_newer_version_is_for_another_worker_whatever_else_it_holds() -> None:
    with pytest.raises(NewerState):
        state.decode(msgpack.packb({"version": state.VERSION + 1}))


def test_no_version_before_the_first_is_known() -> None:
    with pytest.raises(StateError, match="version 0"):
        state.decode(msgpack.packb({"version": 0}))


def test_an_older_state_is_upgraded_version_by_version(monkeypatch: pytest.MonkeyPatch) -> None:
    older = msgpack.unpackb(state.encode(_FULL)) | {"version": state.VERSION - 2}
    monkeypatch.setitem(state.UPGRADES, older["version"], lambda packed: packed | {"hello": packed["hello"] + "?"})
    with pytest.raises(StateError, match="not known any more"):
        state.decode(msgpack.packb(older))
    monkeypatch.setitem(
        state.UPGRADES, older["version"] + 1, lambda packed: packed | {"hello": packed["hello"] + "!"}
    )
    assert state.decode(msgpack.packb(older)) == replace(_FULL, hello=f"{_FULL.hello}?!")


def test_an_upgrade_that_makes_no_state_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(state.UPGRADES, state.VERSION - 1, lambda packed: packed | {"hello": 7})
    older = msgpack.unpackb(state.encode(_FULL)) | {"version": state.VERSION - 1}
    with pytest.raises(StateError, match="hello"):
        state.decode(msgpack.packb(older))


def test_the_largest_transaction_fits_the_contract() -> None:
    longest = Recipient("x" * 64 + "@" + "y" * 255, "z" * 251)
    mail = Transaction("s" * 320, recipients=(longest,) * MAX_RECIPIENTS)
    assert len(state.encode(Session("p" * 45, "h" * 255, transaction=mail))) < MAX_STATE


def test_the_phase_follows_from_what_was_said() -> None:
    recipients = (Recipient("c@d", "c@d"),)
    assert Session("p").phase is Phase.CONNECTED
    assert Session("p", "h").phase is Phase.GREETED
    assert Session("p", "h", transaction=Transaction("")).phase is Phase.SENDER
    assert Session("p", "h", transaction=Transaction("", recipients=recipients)).phase is Phase.RECIPIENTS
    reading = Transaction("", recipients=recipients, reading=True)
    assert Session("p", "h", transaction=reading).phase is Phase.MESSAGE
    assert reading.mailboxes == ("c@d",)


def test_what_failures_on_cue_keep_is_in_the_state_only_where_there_is_any() -> None:
    plain = Session("::1", "h", transaction=Transaction(""))
    assert b"met" not in encode(plain)
    assert b"words" not in encode(plain)
    kept = Session("::1", "h", transaction=Transaction("", words=("drop-at-data",)), met=(0, 2))
    assert decode(encode(kept)) == kept
    with pytest.raises(StateError, match="met"):
        decode(msgpack.packb(msgpack.unpackb(encode(plain)) | {"met": ["x"]}))
