"""Admission: caps hold exactly, and what leaves makes room."""

from __future__ import annotations

from gateway.clients.admission import Admission
from gateway.telling.farewells import Farewell


def test_connections_are_admitted_up_to_the_cap_and_again_when_one_has_left() -> None:
    admission = Admission(2, 0)
    assert admission.enter("a") is None
    assert admission.enter("a") is None
    assert admission.enter("b") is Farewell.TOO_MANY
    admission.leave("a")
    assert admission.enter("b") is None
    assert admission.total == 2


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
