"""What the values of header fields say: encoded words, lists of addresses, parameters.

Gives: `decoded`, a text with its encoded words decoded; `displayed`, the same for a list of addresses; `addresses`
and `parameters`, what a structured value holds, comments, routes and blanks left out wherever RFC 5322 has them.
Addresses are looked for before encoded words are decoded (RFC 2047 section 6.2), and a decoded name in front of one
is quoted where it needs that: what is shown parses as what was sent.
Fails: never. What is not valid is text as it stands.
Limits: time and memory are linear in the text.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

from .charset import decoded as text_of
from .charset import is_known

# RFC 5321 section 4.5.3.1: a path has 256 octets. What is longer, by far, is no address and need not be compared.
_MAX_ADDRESS = 1000
# Of a list to more than these the others are found by nobody; each costs ten microseconds to compare.
_MAX_ADDRESSES = 50_000
# Types, boundaries and names have some hundred characters; what is beyond these is not read.
_MAX_PARAMETERS = 32 * 1024

# RFC 2047 section 2, RFC 2231 section 5 for the language. Blanks and one "?" within are wrong, and are sent.
_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*(?:\?(?!=)[^?]*)?)\?=")
# RFC 5322 section 3.2: blanks, quoted string, domain literal, quoted pair, specials, atom; else a single character.
_LEXEME = re.compile(
    r"""[ \t\r\n]+|"[^"\\]*(?:\\.[^"\\]*)*"|\[[^\[\]\\]*(?:\\.[^\[\]\\]*)*\]|\\.|[()<>,;:@.]"""
    r"""|[^\s"()<>\[\],;:@.\\]+|.""",
    re.DOTALL,
)
_PAREN = re.compile(r"\\.|[()]", re.DOTALL)
# RFC 2231 sections 3 and 4: name*, name*0, name*0*.
_SECTION = re.compile(r"([^*]*)(?:\*(\d{1,6}))?(\*)?")
# RFC 5322 section 3.2.3: what makes a phrase need quotes.
_SPECIALS = re.compile(r'[()<>\[\]:;@\\,"]')


def decoded(text: str, made: Callable[[str], str] = str) -> str:
    """A text with its encoded words decoded (RFC 2047); one that is not valid stays as it is.

    Words of one charset with nothing but blanks between them are one text, for many programs cut characters in two.
    :param made: makes of a decoded text what may stand in its place.
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    label, run, at = "", list[bytes](), 0
    for word in _WORD.finditer(text):
        octets = _octets(word[2], word[3]) if is_known(word[1]) else None
        if octets is None:
            continue
        between = text[at : word.start()]
        if run and (between.strip(" \t") or label != word[1].lower()):
            pieces.append(made(text_of(b"".join(run), label)[0]))
            run.clear()
        if not (at and between.isspace()):
            pieces.append(between)
        run.append(octets)
        label, at = word[1].lower(), word.end()
    if run:
        pieces.append(made(text_of(b"".join(run), label)[0]))
    return "".join([*pieces, text[at:]])


def _octets(encoding: str, text: str) -> bytes | None:
    octets = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(octets, header=True)
    try:
        return binascii.a2b_base64(octets.rstrip(b"= ") + b"==")
    except binascii.Error:
        return None


def displayed(value: str) -> str:
    """A list of addresses for people, its names decoded; it still parses as the same addresses."""
    if "=?" not in value:
        return value
    shown: list[str] = []
    plain: list[str] = []

    def end() -> None:
        shown.append(decoded("".join(plain), _phrase))
        plain.clear()

    for lexeme in _lexemes(value):
        if lexeme[0] in '"(' and len(lexeme) > 1:
            end()
            shown.append(decoded(lexeme, _escaped))
        else:
            plain.append(lexeme)
    end()
    return "".join(shown)


def _phrase(text: str) -> str:
    return f'"{_escaped(text)}"' if _SPECIALS.search(text) else text


def _escaped(text: str) -> str:
    """As it may stand in a quoted string or in a comment."""
    return re.sub(r'([\\"()])', r"\\\1", text)


def _lexemes(text: str) -> Iterator[str]:
    """What a structured value is made of (RFC 5322 section 3.2); a comment with all in it is one."""
    if "(" not in text:
        yield from (found[0] for found in _LEXEME.finditer(text))
        return
    at, comments = 0, True
    while at < len(text):
        lexeme = _LEXEME.match(text, at)
        assert lexeme is not None, "any character is one"
        end = lexeme.end()
        if lexeme[0] == "(" and comments:
            # One that is not closed is a character, and none behind it needs to be looked for.
            end = _end_of_comment(text, at) or end
            comments = end > lexeme.end()
        yield text[at:end]
        at = end


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    for found in _PAREN.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    return 0


def addresses(value: str) -> list[str]:
    """The addresses in a list of them, names, comments and routes left out (RFC 5322 sections 3.4 and 4.4)."""
    found: list[str] = []
    chunk = _Chunk()
    for lexeme in _lexemes(value):
        if lexeme in (",", ";") and not chunk.in_route:
            if chunk.begun:
                found += chunk.address()
                chunk = _Chunk()
            if len(found) >= _MAX_ADDRESSES:
                return found
        else:
            chunk.take(lexeme)
    return found + chunk.address()


class _Chunk:
    """What stands between two commas of a list of addresses."""

    def __init__(self) -> None:
        self._words: list[list[str]] = []
        self._angle: list[str] | None = None
        self._closed = False
        self._gap = True

    @property
    def begun(self) -> bool:
        return bool(self._words) or self._angle is not None

    @property
    def in_route(self) -> bool:
        """Within <@a,@b: commas are not between addresses."""
        return self._angle is not None and not self._closed and self._angle[:1] == ["@"]

    def take(self, lexeme: str) -> None:
        if lexeme.isspace() or (lexeme[0] == "(" and len(lexeme) > 1):
            self._gap = True
        elif self._angle is not None and not self._closed:
            self._in_angle(lexeme, self._angle)
        elif lexeme == "<" and not self._closed:
            self._angle = []
        elif lexeme == ":" and not self._closed:
            self._words, self._gap = [], True  # the name of a group
        else:
            self._in_words(lexeme)

    def _in_angle(self, lexeme: str, angle: list[str]) -> None:
        if lexeme == ">":
            self._closed = True
        elif lexeme == ":" and angle[:1] == ["@"]:
            angle.clear()
        else:
            angle.append(lexeme)

    def _in_words(self, lexeme: str) -> None:
        # Section 4.4: blanks may stand around the dots and the @.
        joined = lexeme in ".@" or (self._words and self._words[-1][-1] in ".@")
        if self._words and (joined or not self._gap):
            self._words[-1].append(lexeme)
        else:
            self._words.append([lexeme])
        self._gap = False

    def address(self) -> list[str]:
        """The one address in it, or none."""
        if self._angle is not None:
            names = ["".join(self._angle)]
        elif len(self._words) == 1:
            names = ["".join(self._words[0])]
        else:
            # A name without the brackets that it needs: only one of the words can be meant.
            names = [name for word in self._words if "@" in (name := "".join(word))]
        return names if len(names) == 1 and 0 < len(names[0]) <= _MAX_ADDRESS else []


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """A value as Content-Type has it: what stands first, in lower case, and its parameters (RFC 2045, RFC 2231)."""
    first, *rest = _segments(value[:_MAX_PARAMETERS])
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for segment in rest:
        name, equals, given = segment.partition("=")
        section = _SECTION.fullmatch(name.strip().lower())
        if not equals or section is None:
            continue
        given = _unquoted(given.strip())
        if section[2] is None and section[3] is None:
            plain.setdefault(section[1], given)
        else:
            # A value without sections stands alone, and before those that somebody has added for older readers.
            number = int(section[2]) if section[2] else -1
            sections.setdefault(section[1], {}).setdefault(number, (given, section[3] is not None))
    extended = {name: _assembled(values) for name, values in sections.items()}
    return first.strip().lower(), {name: decoded(text) for name, text in plain.items()} | extended


def _segments(value: str) -> list[str]:
    """The text between semicolons, comments left out."""
    segments: list[list[str]] = [[]]
    for lexeme in _lexemes(value):
        if lexeme == ";":
            segments.append([])
        elif not (lexeme[0] == "(" and len(lexeme) > 1):
            segments[-1].append(lexeme)
    return ["".join(segment) for segment in segments]


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    inner = re.match(r'"((?:[^"\\]|\\.)*)', text, re.DOTALL)
    # Only these two are escaped by everybody: a backslash before anything else is a Windows path.
    return re.sub(r'\\([\\"])', r"\1", inner[1] if inner else text[1:])


def _assembled(sections: dict[int, tuple[str, bool]]) -> str:
    order = [-1] if -1 in sections else list(_from_zero(sections))
    label, pieces = "", list[bytes]()
    for number in order:
        text, is_encoded = sections[number]
        if is_encoded and number <= 0 and text.count("'") >= 2:
            label, _, text = text.split("'", 2)
        octets = text.encode("utf-8", "replace")
        pieces.append(unquote_to_bytes(octets) if is_encoded else octets)
    return text_of(b"".join(pieces), label or "us-ascii")[0]


def _from_zero(sections: dict[int, tuple[str, bool]]) -> Iterator[int]:
    number = 0
    while number in sections:
        yield number
        number += 1
