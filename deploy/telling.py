"""The one way in which this tool fails: a line that says what is wrong and what to do about it.

Gives: `DeployError`; `refused`, which makes one of what the system refused and nobody has put into better words.
"""

from __future__ import annotations

import os

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
