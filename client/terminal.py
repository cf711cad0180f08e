"""Text from elsewhere, made safe to show on a terminal.

Mail and servers may say anything: escape sequences that rewrite the screen or the keyboard, a carriage return that
hides the start of a line, marks that turn the direction of text around. None of it reaches the terminal.
"""

from __future__ import annotations

import re

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


def harmless_line(text: str) -> str:
    """One line of text: every control character but the tab is replaced by a visible sign, line ends too."""
    return text.translate(_IN_A_LINE)


def harmless_text(text: str) -> str:
    """Text of several lines: as `harmless_line`, but line feeds stay."""
    return text.translate(_IN_TEXT)
