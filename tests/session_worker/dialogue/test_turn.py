"""What handlers are given."""

from __future__ import annotations

from session_worker.dialogue.state import Session
from session_worker.dialogue.turn import Context, Policy


def test_the_delivery_id_is_the_session_and_the_number_of_the_message() -> None:
    context = Context(Policy(), "9f3ac2d17b04-12", 0, Session(), message=3)
    assert context.delivery == "9f3ac2d17b04-12.3"
