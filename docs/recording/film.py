"""A recording of terminals as an animated SVG that needs no script: it plays wherever a browser shows it as an image.

Gives: `Film`, which is told what is on the screens and for how long, and `svg`, the picture.
Each row of a screen is drawn once for each text that it ever has, and shown while it has it. Where pictures do not
move, the end is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

from docs.recording.pane import Pane, Row

_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
_WIDTH, _HEIGHT, _SIZE = 8.0, 18, 13.3
_PAD, _BAR, _GAP = 14, 30, 14
_PAPER, _BAR_PAPER, _EDGE, _TEXT, _DIM = "#0f1720", "#1c2733", "#334354", "#d5dde6", "#8ba0b5"
_COLORS = {
    "red": "#ff8f87",
    "green": "#7fdc8f",
    "brown": "#ecc065",  # pyte's word for the yellow of 16 colours
    "blue": "#24507e",
    "cyan": "#73d6e6",
    "white": "#eaf2fa",
}


@dataclass
class _Shown:
    """One text of one row, and when it is there."""

    pane: int
    number: int
    row: Row
    times: list[tuple[float, float]] = field(default_factory=list)


class Film:
    """What happens on some panes, one above the other, each with a title."""

    def __init__(self, panes: list[tuple[str, Pane]]) -> None:
        self._panes = panes
        self._now = 0.0
        self._rows: dict[tuple[int, int, Row], _Shown] = {}
        # Where the cursor is from when on: pane, row, column.
        self._cursor: list[tuple[float, int, int, int]] = []

    def show(self, active: Pane, seconds: float) -> None:
        """The screens are so for this long, and the cursor is in that pane."""
        end = self._now + seconds
        for index, (_, pane) in enumerate(self._panes):
            for number, row in enumerate(pane.rows()):
                if not row:
                    continue
                shown = self._rows.setdefault((index, number, row), _Shown(index, number, row))
                if shown.times and shown.times[-1][1] == self._now:
                    shown.times[-1] = (shown.times[-1][0], end)
                else:
                    shown.times.append((self._now, end))
            if pane is active:
                place = (index, pane.screen.cursor.y, pane.screen.cursor.x)
                if not self._cursor or self._cursor[-1][1:] != place:
                    self._cursor.append((self._now, *place))
        self._now = end

    def svg(self, label: str) -> str:
        """The picture, for ever from the beginning again.

        :param label: what is to be seen, for who does not see it.
        """
        width = round(max(pane.screen.columns for _, pane in self._panes) * _WIDTH + 2 * _PAD)
        height = self._top(len(self._panes)) - _GAP
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                f'height="{height}" role="img" aria-label="{escape(label)}">',
                f"<style>text{{font:{_SIZE}px {_FONT};fill:{_TEXT};white-space:pre}}.b{{font-weight:bold}}</style>",
                *(self._window(index, title, width) for index, (title, _) in enumerate(self._panes)),
                self._drawn_cursor(),
                *map(self._drawn, self._rows.values()),
                "</svg>",
                "",
            ]
        )

    def _top(self, index: int) -> int:
        return sum(_BAR + pane.screen.lines * _HEIGHT + 2 * _PAD + _GAP for _, pane in self._panes[:index])

    def _window(self, index: int, title: str, width: int) -> str:
        top, inside = self._top(index), self._panes[index][1].screen.lines * _HEIGHT + 2 * _PAD
        lights = "".join(f'<circle cx="{18 + 16 * n}" cy="{top + _BAR // 2}" r="5"/>' for n in range(3))
        return (
            f'<rect x=".5" y="{top + 0.5}" width="{width - 1}" height="{_BAR + inside - 1}" rx="8" '
            f'fill="{_PAPER}" stroke="{_EDGE}"/>'
            f'<path d="M1 {top + _BAR}V{top + 8.5}a7.5 7.5 0 0 1 7.5 -7.5H{width - 8.5}a7.5 7.5 0 0 1 7.5 7.5'
            f'V{top + _BAR}z" fill="{_BAR_PAPER}"/><g fill="{_EDGE}">{lights}</g>'
            f'<text x="{width / 2:g}" y="{top + 20}" text-anchor="middle" style="fill:{_DIM}">{escape(title)}</text>'
        )

    def _place(self, pane: int, number: int, column: float) -> tuple[float, int]:
        return _PAD + column * _WIDTH, self._top(pane) + _BAR + _PAD + number * _HEIGHT

    def _drawn(self, shown: _Shown) -> str:
        parts = []
        for run in shown.row:
            x, y = self._place(shown.pane, shown.number, run.column)
            if run.background != "default":
                paper = _COLORS.get(run.background, _DIM)
                parts.append(
                    f'<rect x="{x:g}" y="{y}" width="{len(run.text) * _WIDTH:g}" height="{_HEIGHT}" fill="{paper}"/>'
                )
            text = run.text.rstrip()
            if not text:
                continue
            lead = len(text) - len(text.lstrip())
            text, x = text[lead:], x + lead * _WIDTH
            color = f' style="fill:{_COLORS[run.color]}"' if run.color in _COLORS else ""
            bold = ' class="b"' if run.bold else ""
            # The length is said so that columns stand below each other whichever font there is.
            parts.append(
                f'<text x="{x:g}" y="{y + 13}" textLength="{len(text) * _WIDTH:g}"{bold}{color}>{escape(text)}</text>'
            )
        return f"<g{self._hidden(shown)}>{''.join(parts)}</g>"

    def _hidden(self, shown: _Shown) -> str:
        """The rest of the tag of a group, and the animation that shows it while it is there."""
        values, times = ["visible"] if shown.times[0][0] == 0 else ["hidden", "visible"], [0.0]
        if shown.times[0][0] > 0:
            times.append(shown.times[0][0])
        for index, (_, end) in enumerate(shown.times):
            if end < self._now:
                values.append("hidden")
                times.append(end)
            if index + 1 < len(shown.times):
                values.append("visible")
                times.append(shown.times[index + 1][0])
        at_the_end = "" if values[-1] == "visible" else ' visibility="hidden"'
        if len(values) == 1:
            return ""
        return f"{at_the_end}>{self._animation('visibility', values, times)}"[:-1]

    def _animation(self, name: str, values: Iterable[str], times: Iterable[float]) -> str:
        keys = ";".join(f"{time / self._now:.4f}".rstrip("0").rstrip(".") for time in times)
        return (
            f'<animate attributeName="{name}" calcMode="discrete" dur="{self._now:g}s" repeatCount="indefinite" '
            f'values="{";".join(values)}" keyTimes="{keys}"/>'
        )

    def _drawn_cursor(self) -> str:
        times = [time for time, *_ in self._cursor]
        places = [self._place(*place) for _, *place in self._cursor]
        across, down = [f"{x:g}" for x, _ in places], [f"{y + 1}" for _, y in places]
        return (
            f'<rect x="{across[-1]}" y="{down[-1]}" width="{_WIDTH:g}" height="{_HEIGHT - 2}" fill="{_DIM}">'
            f"{self._animation('x', across, times)}{self._animation('y', down, times)}</rect>"
        )
