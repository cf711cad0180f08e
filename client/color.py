"""Colours of the client's output, by the 16-colour escape sequences (ECMA-48 SGR) that every terminal knows.

Gives: `wanted`, whether there are to be any; `Paint`, which puts them into text that is safe to show already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

CHOICES = ("auto", "always", "never")

_BOLD = "1"
_GREEN, _CYAN, _YELLOW, _RED = "32", "36", "33", "31"
# RFC 5321 section 4.2.1: done, go on, our trouble, your mistake.
_BY_CLASS = {"2": _GREEN, "3": _CYAN, "4": _YELLOW, "5": _RED}
# Green, yellow, blue, magenta, cyan, bold: those that can be read on black and on white, and are no alarm.
_BY_NUMBER = ("32", "33", "34", "35", "36", "1")
_CODE = re.compile(r"^([2-5])[0-9]{2}(?:[ -][245]\.[0-9]{1,3}\.[0-9]{1,3}(?= ))?", re.MULTILINE)


def wanted(choice: str, environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether output is coloured.

    :param choice: one of `CHOICES`; one that is not "auto" counts before everything else (https://no-color.org).
    :param terminal: the output is one.
    """
    if choice != "auto":
        return choice == "always"
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts colours into text, or leaves it alone where `enabled` is false."""

    enabled: bool = False

    def reply(self, text: str) -> str:
        """A server's reply: the codes that begin its lines, in the colour of their class."""
        return _CODE.sub(lambda code: self._in(f"{_BOLD};{_BY_CLASS[code[1]]}", code[0]), text)

    def hint(self, text: str) -> str:
        """A word of help."""
        return self._in(_YELLOW, text)

    def note(self, text: str) -> str:
        """What the client says of the session or of itself."""
        return self._in(_CYAN, text)

    def session(self, text: str, number: int) -> str:
        """The name of a session: neighbours by number have different colours."""
        return self._in(_BY_NUMBER[number % len(_BY_NUMBER)], text)

    def _in(self, codes: str, text: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self.enabled else text
