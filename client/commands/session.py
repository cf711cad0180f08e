"""The session that `correio` opens without a command: its options, and what they make of the terminal at hand.

Gives: `session_options`, for the command line, and `hold`, which has session/interactive.py hold what they ask for.
On a terminal there are colours, hints, a status line and completion; otherwise what goes out is what the server said,
and each of these only where it is asked for.
Fails: as `connection.connect`, and `transcript.TranscriptWriter` for a file that cannot be written.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from ..language import Language, language_of
from ..run_folder import Server
from ..session.connection import NoConnection, connect
from ..session.guide import Guide
from ..session.interactive import LineSource, PipedLines, converse
from ..session.transcript import TranscriptWriter
from ..session.typed import CommandHistory, TypedLines, history_path
from ..terminal import COLOR_CHOICES, Paint, wants_color


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a session is to be held; None leaves it to the locale or the terminal."""

    lang: str | None = None
    color: str = "auto"
    hints: bool | None = None
    explain: bool = False
    save: Path | None = None


def session_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --lang, --color, --hints, --explain and --save; the function gets them as the keyword argument `wishes`."""

    @click.option(
        "--lang",
        type=click.Choice([language.value for language in Language]),
        help="Language of hints and notes; what the server says stays as it is. [else by LC_ALL, LC_MESSAGES, LANG]",
    )
    @click.option(
        "--color",
        type=click.Choice(COLOR_CHOICES),
        default="auto",
        help="auto: on a terminal, unless NO_COLOR is set.",
    )
    @click.option("--hints/--no-hints", default=None, help="A hint after each refusal. [on a terminal]")
    @click.option(
        "--explain",
        is_flag=True,
        help="Show for each line which worker served it, what that changed in the session, and the time it took; "
        "for a server with EXPLAIN=on.",
    )
    @click.option(
        "--save",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the session down, as C: and S: lines; FILE is made anew, readable by you alone.",
    )
    @functools.wraps(function)
    def with_wishes(*args: Any, **given: Any) -> Any:
        wishes = Wishes(**{name: given.pop(name) for name in (field.name for field in fields(Wishes))})
        return function(*args, wishes=wishes, **given)

    return with_wishes


def hold(server: Server, wishes: Wishes) -> int:
    """Hold a session; gives the exit status."""
    typed = os.isatty(0) and os.isatty(1)
    language = Language(wishes.lang) if wishes.lang else language_of(os.environ)
    try:
        connection = connect(server.host, server.port)
    except NoConnection as error:
        raise error.in_language(language) from None
    try:
        transcript = TranscriptWriter(wishes.save, f"{server.host}:{server.port}") if wishes.save else None
    except click.BadParameter:
        connection.close()
        raise
    guide = Guide(
        language,
        Paint(wants_color(wishes.color, os.environ, terminal=os.isatty(1))),
        hints=typed if wishes.hints is None else wishes.hints,
        explain=wishes.explain,
        transcript=transcript,
    )
    lines: LineSource = TypedLines(CommandHistory(history_path()), guide) if typed else PipedLines()
    try:
        return asyncio.run(converse(connection, lines, guide))
    finally:
        if transcript:
            transcript.close()
