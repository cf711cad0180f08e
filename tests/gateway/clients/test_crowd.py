"""The crowd: caps hold exactly, what leaves makes room, and who is asked to end when."""

from __future__ import annotations

import pytest

from gateway.clients import crowd
from gateway.clients.crowd import Admission, Crowd
from gateway.telling.farewells import Farewell
from gateway.telling.metrics import GatewayCounts
from wire.limits import BODY_PIECE, MAX_PIECE


class Member:
    """A connection, as the crowd sees it."""

    def __init__(self) -> None:
        self.advanced = 0
        self.why = ""

    def advance(self) -> None:
        self.advanced += 1

    def abort(self, why: str) -> None:
        self.why = why


def made(connections: int = 10) -> Crowd:
    return Crowd(Admission(connections, 0), GatewayCounts())


def test_connections_are_admitted_up_to_the_cap_and_again_when_one_has_left() -> None:
    admission = Admission(2, 0)
    assert admission.enter("a") is None
    assert admission.enter("a") is None
    assert admission.enter("b") is Farewell.TOO_MANY
    admission.leave("a")
    assert admission.enter("b") is None
    assert admission.enter("b") is Farewell.TOO_MANY


def test_an_address_has_a_cap_of_its_own() -> None:
    admission = Admission(10, 1)
    assert admission.enter("a") is None
    assert admission.enter("a") is Farewell.TOO_MANY_FROM_ADDRESS
    assert admission.enter("b") is None
    admission.leave("a")
    assert admission.enter("a") is None


def test_addresses_that_have_left_cost_no_memory() -> None:
    admission = Admission(10, 5)
    for number in range(1000):
        assert admission.enter(str(number)) is None
        admission.leave(str(number))
    assert admission._by_address == {}


async def test_one_that_was_refused_is_there_until_it_leaves_and_makes_no_room_then() -> None:
    some = made(1)
    admitted, refused, late = Member(), Member(), Member()
    assert some.enter(admitted, "a") is None
    assert some.enter(refused, "b") is Farewell.TOO_MANY
    assert len(some) == 2
    some.leave(refused, 0)
    assert some.enter(late, "b") is Farewell.TOO_MANY
    some.leave(admitted, 0)
    assert some.enter(Member(), "b") is None
    assert len(some) == 2


async def test_who_ends_when_the_server_is_shut_down() -> None:
    some, member = made(), Member()
    some.enter(member, "a")
    assert (some.ends(False), some.ends(True)) == (False, False)
    some.drain()
    assert (some.ends(False), some.ends(True)) == (True, False)
    some.expel()
    assert (some.ends(False), some.ends(True)) == (True, True)
    assert member.advanced == 2
    assert some.enter(Member(), "a") is Farewell.SHUTDOWN
    some.abort()
    assert member.why == "the server is being shut down"


async def test_states_are_counted_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "_STATES", 100)
    some, member = made(), Member()
    some.enter(member, "a")
    assert some.keep(60)
    assert not some.keep(41)
    assert some.keep(40)
    assert some.keep(-30)
    some.leave(member, 70)
    assert some.keep(100)


async def test_pieces_of_messages_are_large_while_few_share_the_room_for_them_and_never_small() -> None:
    some = made(100)
    members = [Member() for _ in range(100)]
    sizes = {0: some.piece}
    for count, member in enumerate(members, 1):
        some.enter(member, "a")
        sizes[count] = some.piece
    assert (sizes[0], sizes[1], sizes[8]) == (MAX_PIECE, MAX_PIECE, MAX_PIECE)
    assert (sizes[16], sizes[32], sizes[100]) == (MAX_PIECE // 2, BODY_PIECE, BODY_PIECE)
    # Two for each: one under way, and the next.
    assert all(2 * count * size <= max(16 * MAX_PIECE, 2 * count * BODY_PIECE) for count, size in sizes.items())
    for member in members[1:]:
        some.leave(member, 0)
    assert some.piece == MAX_PIECE
