"""What a terminal is given: text from elsewhere that can do it no harm, colours, and lines as wide as it is.

Mail and servers may say anything: escape sequences that rewrite the screen or the keyboard, a carriage return that
hides the start of a line, marks that turn the direction of text around. None of it reaches the terminal.

Gives: `harmless_line` and `harmless_text`; `Paint`, which puts colours (the 16 of ECMA-48 SGR, that every terminal
knows) into text that is harmless already, and `wants_color`, whether there are to be any; `fit`, text with its long
lines broken at blanks, `fit_streams`, which has all text that goes to a terminal broken so, errors included,
`leave_lines_whole` for JSON, and `FittingContext`, whose help fits narrow terminals.
Limits: a word that is longer than a line is left to the terminal. What goes to a pipe or a file is left as it is, and
so are octets that are written past the text stream. From 40 columns on all output can be read.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

import click

COLOR_CHOICES = ("auto", "always", "never")

# Unicode 6.2 and UAX #9: the marks that reorder text, used to make it read otherwise than it is.
_BIDIRECTIONAL = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
# Line and paragraph separators: line ends to some programs, and not to others.
_SEPARATORS = (0x2028, 0x2029)
_SHOWN: dict[int, str] = {
    # U+2400 "Control Pictures" has one visible sign for each C0 control.
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    # C1 controls: on many terminals U+009B begins an escape sequence as ESC [ does.
    **{code: f"\\x{code:02x}" for code in range(0x80, 0xA0)},
    **{code: f"<U+{code:04X}>" for code in (*_BIDIRECTIONAL, *_SEPARATORS)},
    # Halves of surrogate pairs, which no output encoding can carry.
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
# Any of these.
STEERS = re.compile(f"[{''.join(map(re.escape, map(chr, _SHOWN)))}]")
_IN_A_LINE = {code: shown for code, shown in _SHOWN.items() if code != ord("\t")}
_IN_TEXT = {code: shown for code, shown in _IN_A_LINE.items() if code != ord("\n")}

_BOLD = "1"
_GREEN, _CYAN, _YELLOW, _RED = "32", "36", "33", "31"
# RFC 5321 section 4.2.1: done, go on, our trouble, your mistake.
_BY_CLASS = {"2": _GREEN, "3": _CYAN, "4": _YELLOW, "5": _RED}
# Green, yellow, blue, magenta, cyan, bold: those that can be read on black and on white, and are no alarm.
_BY_NUMBER = ("32", "33", "34", "35", "36", "1")
_CODE = re.compile(r"^([2-5])[0-9]{2}(?:[ -][245]\.[0-9]{1,3}\.[0-9]{1,3}(?= ))?", re.MULTILINE)

# ECMA-48 SGR, the only sequences that our own text has: they take no column.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PIECES = re.compile(r"[ \t]+|[^ \t]+")
_TAB = 8
# How much further a continued line is indented.
_HANGING = 2
# click's help is never wider, and the definitions of a list stand below their terms where there is less.
_WIDEST_HELP = 80
_NARROW_HELP = 60


def harmless_line(text: str) -> str:
    """One line of text: every control character but the tab is replaced by a visible sign, line ends too."""
    return text.translate(_IN_A_LINE)


def harmless_text(text: str) -> str:
    """Text of several lines: as `harmless_line`, but line feeds stay."""
    return text.translate(_IN_TEXT)


def wants_color(choice: str, environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether output is coloured.

    :param choice: one of `COLOR_CHOICES`; one that is not "auto" counts before everything else (https://no-color.org).
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


class FittingFormatter(click.HelpFormatter):
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


class FittingContext(click.Context):
    """A command's context whose help fits."""

    formatter_class = FittingFormatter
