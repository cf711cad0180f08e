"""Peers that are one program each: smtp-sink, aiosmtpd, and nodemailer's smtp-server."""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import abstractmethod
from pathlib import Path

from bench.peers.base import INSTALLED, ROOT, Peer, PeerError, end, wait_for_greeting
from tests.stack import free_port


class _Program(Peer):
    """A peer that is one program."""

    def __init__(self) -> None:
        super().__init__()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What to run, once `port` and `mailboxes` are set. Raises PeerError where it is not installed."""

    def start(self, folder: Path, recipients: int) -> None:  # noqa: ARG002  # these make a mailbox when it is needed
        self.port = free_port()
        self.mailboxes = folder / "mailboxes"
        self.mailboxes.mkdir(exist_ok=True)
        log = folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                cwd=folder,
                env=os.environ | {"NODE_PATH": str(INSTALLED / "node" / "node_modules")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            wait_for_greeting(self.name, self._process, self.port, log)
        except PeerError:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)

    def processes(self) -> dict[str, int]:
        assert self._process is not None
        return {self.name: self._process.pid}


def _found(path: Path | str | None, what: str) -> str:
    if path is None or not Path(path).exists():
        raise PeerError(f"{what} is not installed")
    return str(path)


class Sink(_Program):
    """Postfix's smtp-sink, which throws away what it gets: the ceiling."""

    name = "smtp-sink"
    what = "Postfix's smtp-sink (C), which discards every message"
    stores = False

    def command(self) -> list[str]:
        path = "/usr/sbin:/usr/local/sbin:" + os.environ["PATH"]
        program = _found(shutil.which("smtp-sink", path=path), "smtp-sink")
        # Without -u it refuses to run as root. Pipelining is on by default.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [program, *user, f"127.0.0.1:{self.port}", "1024"]


class Aiosmtpd(_Program):
    """aiosmtpd, in Python like us, with the handler that one writes first."""

    name = "aiosmtpd"
    what = "aiosmtpd on uvloop, append and fdatasync in the handler"
    mode = "plain"

    def command(self) -> list[str]:
        python = _found(INSTALLED / "venv" / "bin" / "python", "aiosmtpd (make bench installs it)")
        server = ROOT / "bench/servers/aiosmtpd_append.py"
        return [python, str(server), self.mode, str(self.port), str(self.mailboxes)]


class AiosmtpdThreads(Aiosmtpd):
    """aiosmtpd with a handler that syncs in threads."""

    name = "aiosmtpd-threads"
    what = "aiosmtpd on uvloop, append and fdatasync in threads"
    mode = "threads"


class SmtpServer(_Program):
    """nodemailer's smtp-server, the fastest that people write handlers for."""

    name = "smtp-server"
    what = "nodemailer's smtp-server on node, append and fdatasync for each message"

    def command(self) -> list[str]:
        node = _found(shutil.which("node"), "node")
        _found(INSTALLED / "node" / "node_modules" / "smtp-server", "smtp-server (make bench installs it)")
        server = ROOT / "bench/servers/smtp-server-append/server.js"
        return [node, str(server), str(self.port), str(self.mailboxes)]
