"""What both ways of running a stack tell about its parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
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
