"""What goes to standard output: JSON in UTF-8 whatever the locale, octets, and what happens when nobody takes them.

Gives: `as_line`, a value as a line of JSON; `write_json`, `write` and `write_raw`; `guarded`, around all that writes.
Fails: `OutputError`, one line, where standard output takes nothing: a full disk, a closed pipe.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TextIO

import click

from .terminal import STEERS, harmless_text

# Of its own, so that `wait`'s 1 still says that no mail came.
EXIT_NO_OUTPUT = 4
# What writing to a file, a pipe or a terminal fails with (write(2)); a file that cannot be opened is something else.
_OF_WRITING = frozenset(
    {errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EAGAIN, errno.ECONNRESET}
)


class OutputError(click.ClickException):
    """Standard output does not take what there is to say."""

    exit_code = EXIT_NO_OUTPUT

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it where somebody may hear it: what takes no output may be below standard error as well."""
        if sys.stderr is None:  # closed before the program began
            return
        try:
            super().show(file)
            sys.stderr.flush()
        except OSError:
            _silence(sys.stderr)


def no_output(error: OSError) -> OutputError:
    """What is said of an error of standard output."""
    return OutputError(f"Cannot write to standard output: {error.strerror}")


def as_line(value: Any) -> str:
    """A value as JSON that is valid UTF-8 and does nothing to a terminal."""
    text = json.dumps(value, ensure_ascii=False)
    # Within strings only, for nothing else of JSON has such characters.
    return json.dumps(value).replace("\x7f", "\\u007f") if STEERS.search(text) else text


def write_json(value: Any) -> None:
    """A value on a line of its own, in UTF-8."""
    write(as_line(value).encode() + b"\n")


def write(octets: bytes) -> None:
    """Octets as they are."""
    click.echo(octets, nl=False)


def write_raw(octets: bytes) -> None:
    """Octets of a mail: as they are, but on a terminal, which they could steer, as text that does no harm."""
    if sys.stdout.isatty():
        click.echo(harmless_text(octets.decode("utf-8", "replace")), nl=False)
    else:
        write(octets)


@contextmanager
def guarded() -> Iterator[None]:
    """Make of an error of standard output one that people can read.

    :raises OutputError: it did not take all that was written in the block.
    """
    if sys.stdout is None:  # it was closed when the program began
        raise OutputError("Cannot write to standard output: it is closed")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in _OF_WRITING:
            raise
        _silence(sys.stdout)
        raise no_output(error) from None


def _silence(stream: TextIO) -> None:
    """Let what is still in its buffer go nowhere: Python would try it again at the end, and complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
