"""aiosmtpd on uvloop with a handler that appends to an mbox and fsyncs, run by the environment in build/bench.

`python aiosmtpd_append.py plain|threads PORT FOLDER` prints a line when it listens. `plain` is the handler that one
writes first: it syncs where it stands. `threads` syncs in a thread, so that others are served meanwhile. Files stay
open in both.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session  # type: ignore[import-not-found]  # in its own environment

_FROM_LINE = re.compile(rb"^(>*From )", re.MULTILINE)


class Append:
    """Appends each message to the file of its recipient."""

    def __init__(self, folder: str, in_threads: bool) -> None:
        self._folder = Path(folder)
        self._files: dict[str, int] = {}
        self._in_threads = in_threads

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        text = envelope.content
        if b"From " in text:
            text = _FROM_LINE.sub(rb">\1", text)
        entry = b"From %s Thu Jan  1 00:00:00 1970\n%s\n" % (str(envelope.mail_from).encode(), text)
        for recipient in envelope.rcpt_tos:
            if self._in_threads:
                await asyncio.get_running_loop().run_in_executor(None, self._append, recipient, entry)
            else:
                self._append(recipient, entry)
        return "250 OK"

    def _append(self, recipient: str, entry: bytes) -> None:
        file = self._open(recipient)
        os.write(file, entry)
        os.fdatasync(file)

    def _open(self, recipient: str) -> int:
        file = self._files.get(recipient)
        if file is None:
            path = self._folder / f"{Path(recipient).name}.txt"
            file = self._files[recipient] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return file


async def _serve(mode: str, port: int, folder: str) -> None:
    handler = Append(folder, mode == "threads")
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="bench.example", data_size_limit=64 * 1024 * 1024),
        "127.0.0.1",
        port,
        backlog=1024,
    )
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
