"""Words of log lines and messages that depend on a number.

Gives: `counted`. The client, which is installed without this package, has its own in `client/language.py`.
"""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number and what it counts: 1 message, 2 messages.

    :param plural: where it is not the noun and an s.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
