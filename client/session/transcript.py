"""A transcript of a session in a file: what was said, in the form in which Correio's own tests are written.

Gives: `TranscriptWriter`, to be told each line and each reply; `client_line` and `server_lines`, the form.
`C:` is before what the client sent, `S:` before what the server said, `C|` before what cannot be shown as text, with
the escapes \\r \\n and \\xHH; `#` begins a comment. Such a file can be played to a server again: the delivery id of a
reply, another one each time, is in a comment, with `...` in its place.
Fails: `click.BadParameter` for a file that cannot be written at the start; one that cannot be written any more ends
the transcript and not the session, and `trouble` says why.
Limits: the file is made anew, for its owner's eyes alone. AUTH and what follows it are never written down.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import click

from ..mail import ids
from .smtp import Expects, ServerReply, verb_of

_NOT_TEXT = "\x00"
# Lines that would mean something else in such a file.
_SPECIAL = ("(leaves)", "(closes)")


def client_line(line: bytes) -> str:
    """What the client sent, without its CRLF."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable() and text not in _SPECIAL:
        return f"C: {text}" if text else "C:"
    shown = "".join(
        chr(octet) if 0x20 <= octet < 0x7F and octet not in b"\\{" else f"\\x{octet:02x}" for octet in line
    )
    return f"C| {shown}\\r\\n"


def server_lines(reply: ServerReply) -> list[str]:
    """What the server said; a delivery id and what is not text become `...`."""
    lines = []
    for text in str(reply).split("\n"):
        lines += [f"# delivery {found[1]}" for found in ids.TOLD.finditer(text)]
        text = "".join(char if char.isprintable() else _NOT_TEXT for char in ids.TOLD.sub(f"id {_NOT_TEXT}", text))
        # With the dots beside it, for four in a row would not say where the three begin.
        shown = re.sub(rf"\.*{_NOT_TEXT}[.{_NOT_TEXT}]*", "...", text)
        lines.append(f"S: {shown}")
    return lines


class TranscriptWriter:
    """Writes a session down as it happens."""

    def __init__(self, path: Path, server: str) -> None:
        """Make the file.

        :param server: what the session is held with, for the first line.
        :raises click.BadParameter: it cannot be written.
        """
        self.trouble = ""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.fchmod(descriptor, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--save") from None
        self._write(f"# A session with {server}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")

    def said(self, line: bytes, expects: Expects) -> None:
        """The client has sent this line while the server expected that."""
        if expects is Expects.RESPONSE or (expects is Expects.COMMAND and verb_of(line) == b"AUTH"):
            self._write("# C: (not written down: AUTH, or what follows it)")
        else:
            self._write(client_line(line))

    def heard(self, reply: ServerReply) -> None:
        """The server has said this."""
        self._write(*server_lines(reply))

    def closed(self) -> None:
        """The server has ended the connection."""
        self._write("S: (closes)")

    def left(self) -> None:
        """The client has ended it, without the server's farewell."""
        self._write("C: (leaves)")

    def close(self) -> None:
        """End the file."""
        try:
            self._file.close()
        except OSError as error:
            self._trouble(error)

    def _write(self, *lines: str) -> None:
        if self.trouble:
            return
        try:
            self._file.write("".join(f"{line}\n" for line in lines))
            self._file.flush()
        except OSError as error:
            self._trouble(error)

    def _trouble(self, error: OSError) -> None:
        self.trouble = self.trouble or error.strerror or str(error)
