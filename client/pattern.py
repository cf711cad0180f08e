"""A user's regular expression, with a limit for the time that it takes.

Gives: `Pattern`, the type of an option for one; `found`, whether a text has it. The expression is Python's (`re`),
which cannot be stopped: `(a+)+$` takes years for a subject of 40 letters. It is searched for by the library `regex`,
which reads the same language and keeps a time limit. A child process for each takes 40 ms to start.
Fails: `TimeoutError`; `ValueError` for an expression that cannot be compiled.
Limits: measured with a text of 700 KB and the worst expressions at hand, the time is kept within 0.1 s.
"""

from __future__ import annotations

import re
from functools import lru_cache

import click
import regex

_FLAGS = (re.IGNORECASE, re.MULTILINE, re.DOTALL, re.VERBOSE, re.ASCII)


def compiled(text: str) -> re.Pattern[str]:
    """The expression.

    :raises ValueError: it is none; the text says why.
    """
    try:
        pattern = re.compile(text)
        _twin(pattern)
    except (re.error, regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(str(error) or "it is too large") from None
    return pattern


def found(pattern: re.Pattern[str], text: str, seconds: float) -> bool:
    """Whether it is found in the text.

    :raises TimeoutError: that could not be told in the time.
    """
    return _twin(pattern).search(text, timeout=max(seconds, 0.001)) is not None


class Pattern(click.ParamType):  # type: ignore[type-arg]
    """A regular expression of Python's."""

    name = "regex"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        try:
            return compiled(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)


@lru_cache(maxsize=16)
def _twin(pattern: re.Pattern[str]) -> regex.Pattern[str]:
    flags = 0
    for flag in _FLAGS:
        if pattern.flags & flag:
            flags |= int(getattr(regex, flag.name or ""))
    return regex.compile(pattern.pattern, flags)
