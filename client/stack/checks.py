"""What `correio doctor` looks at. Each check says what is, whether that is well, and what to do if it is not.

Gives: `checks`; `listeners`, who listens on a port, from Linux' /proc.
Fails: never; a check that cannot be made is a finding of its own.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..language import counted
from ..mail.address import AddressError
from ..mail.users import parse_entry
from ..run_folder import Server, run_folder
from .status import Probe, probe

_OLDEST = (3, 11)
# A few thousand messages of a common size, and the journal beside them.
_LEAST_SPACE = 100 * 1024 * 1024
_ENGINE_SECONDS = 10.0
_PROC = Path("/proc")
# proc(5): the column `st` of /proc/net/tcp; 0A is TCP_LISTEN.
_LISTENS = "0A"
OK, WARNING, FAILED = "ok", "warning", "failed"
# What Correio always offers (RFC 2920, 1870, 6152, 2034).
_OFFERED = ("PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `advice` is what to do, "" where all is well."""

    check: str
    state: str
    what: str
    advice: str = ""


def checks(server: Server, users: Path, mailboxes: Path) -> Iterator[Finding]:
    """All checks, in the order in which they help."""
    yield _python()
    seen = probe(server)
    yield _port(seen)
    if seen.listening:
        yield _smtp(seen)
    yield _made("users", lambda: _users(users, needed=not seen.takes_mail))
    yield _made("mailboxes", lambda: _folder(mailboxes))
    yield _made("disk", lambda: _space(mailboxes))
    yield _engine()


def _made(name: str, check: Callable[[], Finding]) -> Finding:
    """What a check of files finds, or that it cannot be made: a folder above them may be closed, or a disk broken."""
    try:
        return check()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return Finding(
            name, FAILED, f"cannot be looked at: {where}{error.strerror}", "see to it that you may look there"
        )


def _python() -> Finding:
    what = f"{sys.version.split()[0]} ({sys.executable})"
    if sys.version_info < _OLDEST:
        return Finding("python", FAILED, what, "Correio needs Python 3.11 or newer: make up PYTHON=python3.11")
    if not _optimized():
        slow = f"{what} was built without its optimizations, which makes a server some 15 % slower"
        return Finding(
            "python", WARNING, slow, "take the system's, or build one with ./configure --enable-optimizations"
        )
    return Finding("python", OK, what)


def _optimized() -> bool:
    """Whether this Python was built with its optimizations, as far as it tells."""
    # What ./configure was given; None where there was no such thing. Of a distribution's own it may not be all, as
    # Debian optimizes when it compiles.
    given = sysconfig.get_config_var("CONFIG_ARGS")
    return given is None or "--enable-optimizations" in given or sys.base_prefix == "/usr"


def _port(seen: Probe) -> Finding:
    port = seen.server.port
    who = listeners(port) if seen.server.host in ("127.0.0.1", "localhost", "::1") else []
    by = f" by {'; '.join(who)}" if who else ""
    if not seen.listening:
        start = f"start it: make up PORT={port}, or correio serve --port {port}; or name another: --port"
        return Finding(
            "port", FAILED, seen.trouble, start if run_folder().port in (0, port) else "name that port: --port"
        )
    return Finding("port", OK, f"{seen.server.host} port {port} is listened on{by}")


def listeners(port: int, proc: Path = _PROC) -> list[str]:
    """The processes that listen on a port of this machine, as "pid 4711: command line".

    What may not be read, as another user's processes, or is not there, is left out.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not sockets:
        return []
    found = []
    for process in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        with suppress(OSError):
            if any(str(link.readlink()) in sockets for link in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().split(b"\0")
                found.append(f"pid {process.name}: {b' '.join(words).decode('utf-8', 'replace').strip()}")
    return found


def _inodes(port: int, proc: Path) -> set[str]:
    """The sockets that listen: `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENS and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(columns[9])
    return inodes


def _smtp(seen: Probe) -> Finding:
    if not seen.greeting:
        return Finding(
            "smtp", FAILED, seen.trouble, "another program may have the port: stop it, or: make up PORT=12525"
        )
    if not seen.takes_mail:
        says = "see what the services say: correio status, make logs"
        advice = "make room" if seen.trouble.startswith("no room") else says
        return Finding("smtp", FAILED, seen.trouble, advice)
    missing = [name for name in _OFFERED if name not in seen.extensions]
    if missing:
        return Finding(
            "smtp", WARNING, f"mail is taken, but EHLO offers no {', '.join(missing)}", "this may be another server"
        )
    return Finding("smtp", OK, f"mail is taken; the greeting took {seen.times['greeting']:.0f} ms")


def _users(path: Path, *, needed: bool) -> Finding:
    if not needed and not _there(path):
        # As in a project that only sends to a server which was started elsewhere.
        what = f"{path} is not here; the server that takes mail has its own"
        return Finding("users", WARNING, what, "to check that one: --users")
    advice = f"write an address a line into {path}, or name another file: --users"
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        return Finding("users", FAILED, f"{path}: {error}", advice)
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        try:
            _, mailbox = parse_entry(entry)
        except AddressError:
            return Finding("users", FAILED, f"{path}:{number}: this is no address", "correct the line: name@domain")
        if (same := first.setdefault(mailbox, number)) != number:
            what = f"{path}:{number}: the same mailbox as on line {same}"
            return Finding("users", FAILED, what, "take one of the lines out")
    if not first:
        return Finding("users", FAILED, f"{path} has no address", advice)
    return Finding("users", OK, f"{path}: {counted(len(first), 'user')}")


def _there(path: Path) -> bool:
    """Whether there is something. Since Python 3.14 `Path.exists` says no where the disk has an error."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _folder(path: Path) -> Finding:
    if not _there(path):
        return Finding("mailboxes", WARNING, f"there is no folder {path} yet", "make up makes it; or: --mailboxes")
    if not stat.S_ISDIR(path.stat().st_mode):
        return Finding("mailboxes", FAILED, f"{path} is no folder", "move it away, or name another: --mailboxes")
    owner = path.stat().st_uid
    if owner != os.geteuid():
        advice = f"give it to the one who runs the stack: chown -R $(id -u) {path}"
        return Finding("mailboxes", WARNING, f"{path} belongs to user {owner}, you are {os.geteuid()}", advice)
    if not os.access(path, os.W_OK | os.X_OK):
        return Finding("mailboxes", FAILED, f"{path} cannot be written", f"allow it: chmod u+rwx {path}")
    if path.stat().st_mode & stat.S_IWOTH:
        return Finding("mailboxes", WARNING, f"everybody can write to {path}", f"chmod o-w {path}")
    return Finding("mailboxes", OK, f"{path} is yours and can be written")


def _space(path: Path) -> Finding:
    while not _there(path) and path != path.parent:
        path = path.parent
    space = shutil.disk_usage(path).free
    what = f"{space // 1024**2} MiB free where the mailboxes are"
    if space < _LEAST_SPACE:
        return Finding("disk", FAILED, what, "make room; below that the server refuses mail: 452 4.3.1")
    return Finding("disk", OK, what)


def _engine() -> Finding:
    advice = "not needed: the services then run as processes; to have containers, start Docker"
    try:
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ENGINE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("docker", WARNING, f"no Docker engine: {error}", advice)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it does not answer"])[-1]
        return Finding("docker", WARNING, f"no Docker engine: {reason}", advice)
    return Finding("docker", OK, f"Docker engine {done.stdout.strip()}")
