"""Session and delivery ids as SPEC.md has them: a delivery's is its session's, a dot, and the transaction's number.

Gives: what one id tells of the other, so that what the services log of one mail can be put together.
Fails: never; of a text that is no id it says "" or gives all of it.
"""

from __future__ import annotations


def session_of(delivery: str) -> str:
    """The session that a delivery belongs to."""
    return delivery.rpartition(".")[0] or delivery
