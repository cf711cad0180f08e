"""What every service needs around its work: settings, logs, a place on the bus, a sign that it is ready.

Services import this, `wire` and `mail`, never each other. Nothing in here knows SMTP, sessions or mail.
"""

from __future__ import annotations

# The release, as `pyproject.toml` has it (a test holds them together).
VERSION = "0.1.0"


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number and what it counts, in texts for people: 1 message, 2 messages.

    :param plural: where it is not the noun and an s.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
