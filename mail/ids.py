"""Session and delivery ids (wire/SPEC.md): what they tell, and how a reply names one.

    004eb9c81aa0-2      the second session of a gateway, which took the first part for itself when it started
    004eb9c81aa0-2.1    the first message of that session

The gateway makes the session's (`session_ids` in gateway/workers/dispatcher.py) and counts its messages; the worker
puts a dot between the two (`Context.delivery` in session_worker/dialogue/turn.py).

Fails: never; of a text that is no id the functions give all of it, or 0.
"""

from __future__ import annotations

import re

# As in `250 2.0.0 Message delivered, id 004eb9c81aa0-2.1`; the group is the delivery id.
TOLD = re.compile(r"\bid ([0-9A-Za-z-]+\.[0-9]+)")
# Digits of a number that a process can count to.
_MOST_DIGITS = 19


def session_of(delivery: str) -> str:
    """The session that a delivery belongs to."""
    return delivery.rpartition(".")[0] or delivery


def number_of(session: str) -> int:
    """Which session of its gateway it is, counted from 1; 0 where the id does not say."""
    number = session.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS else 0


def short(session: str) -> str:
    """The end of a session's id, which tells the sessions of one gateway apart and is easier on the eye."""
    gateway, dash, number = session.rpartition("-")
    return f"{gateway[-4:]}{dash}{number}"


def told_in(reply: str) -> str:
    """The delivery id that a reply tells; "" where it tells none."""
    found = TOLD.search(reply)
    return found[1] if found else ""
