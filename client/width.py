"""Output that breaks between words where a terminal is narrow; from 40 columns on all of it can be read.

Gives: `fit`, text with its long lines broken at blanks; `fit_streams`, which has all text that goes to a terminal
broken so, errors included; `leave_lines_whole` for JSON; `Context`, whose help fits narrow terminals.
Limits: a word that is longer than a line is left to the terminal. What goes to a pipe or a file is left as it is, and
so are octets that are written past the text stream.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable
from typing import TextIO

import click

# ECMA-48 SGR, the only sequences that our own text has: they take no column.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PIECES = re.compile(r"[ \t]+|[^ \t]+")
_TAB = 8
# How much further a continued line is indented.
_HANGING = 2
# click's help is never wider, and the definitions of a list stand below their terms where there is less.
_WIDEST_HELP = 80
_NARROW_HELP = 60


def fit(text: str, columns: int) -> str:
    """The text with lines of at most so many columns, as far as their words allow; the rest of a line is indented."""
    return "\n".join(_fit_line(line, columns) for line in text.split("\n"))


def _fit_line(line: str, columns: int) -> str:
    if len(line) <= columns and line.isascii():
        return line
    pieces = _PIECES.findall(line)
    margin = pieces.pop(0) if pieces and pieces[0].isspace() else ""
    # An indentation that leaves no room would be worse than none.
    hanging = " " * min(_width(margin) + _HANGING, columns // 4)
    lines, now, blank = [], margin, ""
    for piece in pieces:
        if piece.isspace():
            blank = piece
        elif now.strip() and _width(now + blank + piece) > columns:
            lines.append(now)
            now, blank = hanging + piece, ""
        else:
            now, blank = now + blank + piece, ""
    return "\n".join([*lines, now + blank if not lines else now])


def _width(text: str) -> int:
    """The columns that a text takes (UAX #11 for wide letters; marks that combine take none)."""
    plain = _COLOUR.sub("", text)
    if plain.isascii() and "\t" not in plain:
        return len(plain)
    width = 0
    for character in plain:
        if character == "\t":
            width += _TAB - width % _TAB
        elif not unicodedata.combining(character):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def columns(descriptor: int) -> int:
    """How wide the terminal is: the environment's COLUMNS, else what the system says."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        return int(given)
    try:
        # One that does not know its size says 0.
        return os.get_terminal_size(descriptor).columns or _WIDEST_HELP
    except OSError:
        return _WIDEST_HELP


class _Fitting(io.TextIOWrapper):
    """A terminal's stream; each text that is written begins a line."""

    fits = True

    def write(self, text: str, /) -> int:
        super().write(fit(text, columns(self.fileno())) if self.fits else text)
        return len(text)


def fit_streams() -> None:
    """Have standard output and standard error break lines between words where they are terminals."""
    sys.stdout, sys.stderr = _fitting(sys.stdout), _fitting(sys.stderr)


def leave_lines_whole() -> None:
    """Standard output is for a program from here on, if only by way of a terminal."""
    if isinstance(sys.stdout, _Fitting):
        sys.stdout.fits = False


def _fitting(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    # A terminal that lacks a character shows its number; that is no reason to stop.
    stream.reconfigure(errors="backslashreplace")
    if isinstance(stream, _Fitting) or not stream.isatty():
        return stream
    stream.flush()
    return _Fitting(stream.buffer, stream.encoding, "backslashreplace", line_buffering=True)


class Formatter(click.HelpFormatter):
    """Help in as many columns as there are: click's own takes 50 at least, and cuts words."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        width = width or min(shutil.get_terminal_size().columns, max_width or _WIDEST_HELP)
        # click leaves two columns free.
        super().__init__(indent_increment, width - 2, max_width)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """A list of terms and what they mean; each meaning stands below its term where there is little room."""
        if self.width >= _NARROW_HELP:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, meaning in rows:
            self.write_text(term)
            with self.indentation():
                self.write_text(meaning)

    def getvalue(self) -> str:
        """The help, examples too broken between words."""
        return fit(super().getvalue(), self.width + 2)


class Context(click.Context):
    """A command's context whose help fits."""

    formatter_class = Formatter
