"""What the tool tells: how each part of a stack is, and the one way in which it fails, a line that says what is wrong
and what to do about it.

Gives: `StackPart` and `Trouble`, what both ways of running a stack tell about its parts; `DeployError`; `refused`,
which makes one of what the system refused and nobody has put into better words.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

# Told of each step that takes long, in words for a person.
Say = Callable[[str], None]
# sysexits.h: a bad setting or users file can be told from everything else that can go wrong.
EX_CONFIG = 78
EX_FAILED = 1


class DeployError(Exception):
    """What the person who typed the command has to know; `str()` of it is that line.

    :param status: the exit status of the tool.
    :param details: further lines to show under it, such as the end of a log.
    """

    def __init__(self, line: str, status: int = EX_FAILED, details: str = "") -> None:
        super().__init__(line)
        self.status = status
        self.details = details


def refused(error: OSError) -> DeployError:
    """The line that names the path, where there is one, and what the system says of it."""
    named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return DeployError(f"{named}{error.strerror or error}")


class ServiceFailed(DeployError):
    """A service could not start; the line is its own, and names it already."""


@dataclass(frozen=True, slots=True)
class StackPart:
    """One process or container of the stack."""

    name: str
    # In words, for people.
    state: str
    running: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part of the stack that ended while the stack was to start."""

    # Which one, and how.
    what: str
    # The last line it said; a service that cannot start says one line.
    line: str
    # Its exit status, where it had one.
    status: int = -1
