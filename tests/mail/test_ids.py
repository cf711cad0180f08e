"""What a delivery id tells of its session."""

from __future__ import annotations

from mail.ids import session_of


def test_a_delivery_id_begins_with_its_session() -> None:
    assert session_of("004eb9c81aa0-2.13") == "004eb9c81aa0-2"
    assert session_of("odd.session.1") == "odd.session"


def test_of_what_is_no_delivery_id_all_is_given() -> None:
    assert session_of("no-delivery") == "no-delivery"
    assert session_of("") == ""
