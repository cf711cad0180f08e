"""Session and delivery ids as SPEC.md has them: a delivery's is its session's, a dot, and the transaction's number.

Gives: what one id tells of the other, so that what the services log of one mail can be put together.
Fails: never; of a text that is no id it says "" or gives all of it.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[0-9]+")


def session_of(delivery: str) -> str:
    """The session that a delivery belongs to."""
    return delivery.rpartition(".")[0] or delivery


def delivery_in(text: str, session: str) -> str:
    """The delivery id of this session that a text names, such as the reply to a message; "" if it names none."""
    before, _, after = text.partition(session + ".")
    number = _NUMBER.match(after)
    if number is None or before[-1:].isalnum():
        return ""
    return f"{session}.{number[0]}"
