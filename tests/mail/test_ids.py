"""What a delivery id tells of its session, and where a text names one."""

from __future__ import annotations

import pytest

from mail.ids import delivery_in, session_of


def test_a_delivery_id_begins_with_its_session() -> None:
    assert session_of("004eb9c81aa0-2.13") == "004eb9c81aa0-2"
    assert session_of("odd.session.1") == "odd.session"


def test_of_what_is_no_delivery_id_all_is_given() -> None:
    assert session_of("no-delivery") == "no-delivery"
    assert session_of("") == ""


@pytest.mark.parametrize(
    ("text", "delivery"),
    [
        ("250 2.0.0 Message delivered, id 0aff-2.1", "0aff-2.1"),
        ("250 2.0.0 0aff-2.13 is its id.", "0aff-2.13"),
        ("250 2.0.0 0aff-2.13.", "0aff-2.13"),
        ("250 2.0.0 Message delivered, id 0aff-22.1", ""),
        ("250 2.0.0 Message delivered, id x0aff-2.1", ""),
        ("250 2.0.0 Message delivered, id 0aff-2.x", ""),
        ("250 2.0.0 0aff-2", ""),
    ],
)
def test_a_reply_may_name_a_delivery_of_its_own_session(text: str, delivery: str) -> None:
    assert delivery_in(text, "0aff-2") == delivery
