"""What session and delivery ids tell."""

from __future__ import annotations

import pytest

from mail.ids import number_of, session_of, short, told_in


def test_a_delivery_id_begins_with_its_session() -> None:
    assert session_of("004eb9c81aa0-2.13") == "004eb9c81aa0-2"
    assert session_of("odd.session.1") == "odd.session"


def test_of_what_is_no_delivery_id_all_is_given() -> None:
    assert session_of("no-delivery") == "no-delivery"
    assert session_of("") == ""


@pytest.mark.parametrize(
    ("session", "number"),
    [
        ("004eb9c81aa0-2", 2),
        ("a-b-12", 12),
        ("", 0),
        ("004eb9c81aa0-", 0),
        ("a-x", 0),
        ("a-²", 0),
        ("a-" + "9" * 5000, 0),
    ],
)
def test_a_session_id_ends_with_its_number(session: str, number: int) -> None:
    assert number_of(session) == number


def test_short_is_the_end_of_the_id() -> None:
    assert short("004eb9c81aa0-2") == "1aa0-2"
    assert short("odd") == "odd"


@pytest.mark.parametrize(
    ("reply", "delivery"),
    [
        ("250 2.0.0 Message delivered, id 0aff-2.1", "0aff-2.1"),
        ("250 2.0.0 Message delivered, id 0aff-2.13.", "0aff-2.13"),
        ("250 2.0.0 Message delivered, id 0aff-2", ""),
        ("250 2.0.0 Message delivered, void 0aff-2.1", ""),
        ("250 2.0.0 OK", ""),
    ],
)
def test_a_reply_may_tell_the_id_of_a_delivery(reply: str, delivery: str) -> None:
    assert told_in(reply) == delivery
