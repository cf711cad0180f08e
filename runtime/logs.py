"""A service's log, a line for each event, written at once or with the others of its turn: it can be watched live.

Gives: `configure`, which has the logging module write to the log, and gives the `EventLog` for what is told of each
line and each message. Lines are for people (`human`), or JSON objects for programs (`json`): `time` (RFC 3339, UTC,
milliseconds), `level`, `service`, `pid`, `message`, the trace of an exception as `exc_info`, and whatever the call
gave as `extra`: what is about a session or a delivery carries `session`, `delivery` and `event` there. `catch_up` and
`lost` are about lines that could not be written (`telling.Output`); `open_destination` gives a file of the
process's own, which is rotated, or whatever its standard output is.
Fails: a log file that cannot be opened is told, and the log goes to standard output.
Limits: JSON is ASCII without a control character, so no text can break out of its line; in human lines the caller
escapes what comes from elsewhere. A disk that is slow makes the writer slow, and so may a terminal that is somebody
else's, as after su.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import json
import logging
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

from runtime import counted
from runtime.telling import MOST_WAITING, EventLog, Form, Output, Write

# What supervisord does with the logs of what it runs: "10MB", and so many backups.
MOST_OCTETS = 10 * 1024 * 1024
BACKUPS = 3

log = logging.getLogger(__name__)


def configure(service: str, level: str, form: Form = "human", file: str = "") -> EventLog | None:
    """Send this process's log to standard output, or to a file, which then also takes what else is said there.

    :param service: the name each line carries.
    :param level: a level name of the logging module, such as "INFO".
    :param file: a file of this process alone; it is rotated.
    :returns: where to tell events; None where the level has no room for them.
    """
    formatter = _json(service) if form == "json" else _human(service)
    standard = [stream.fileno() for stream in (sys.stdout, sys.stderr) if stream is not None]
    trouble = ""
    try:
        write = open_destination(file, standard)
    except OSError as error:
        trouble = error.strerror or str(error)
        write = open_destination("", standard)
    output = Output(write, _gap_line(formatter))
    events = EventLog(output, service, form)
    handler = _Handler(output, events)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    atexit.register(handler.finish)
    if trouble:
        log.error("! LOG_FILE=%s: %s; the log goes to standard output", file, trouble)
    return events if log.isEnabledFor(logging.INFO) else None


def catch_up() -> None:
    """Try again to write what waits for a reader or for room. Call it about once a second."""
    for handler in _handlers():
        handler.output.catch_up()


def lost() -> int:
    """How many lines were dropped since the start."""
    return sum(handler.output.lost for handler in _handlers())


def rfc3339(seconds: float) -> str:
    """A time in seconds since the epoch as RFC 3339 has it, in UTC with milliseconds: 2026-11-23T10:16:10.123Z"""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class _Handler(logging.Handler):
    """Writes the logging module's records, which are few, each at once, after the events that were before it."""

    def __init__(self, output: Output, events: EventLog) -> None:
        super().__init__()
        self.output = output
        self._events = events
        # Events are of this thread's loop, and no other thread may write them in its midst.
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            if threading.get_ident() == self._thread:
                self._events.flush()
            self.output.write(line)
        except Exception:  # as all handlers do: what cannot be logged ends nothing
            self.handleError(record)

    def finish(self) -> None:
        """The process ends."""
        self._events.flush()
        self.output.close()


def _handlers() -> list[_Handler]:
    """The one of this process; none before `configure`."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]


def _gap_line(formatter: logging.Formatter) -> Callable[[int, str], bytes]:
    def line(lines: int, why: str) -> bytes:
        told, what = "! lost from the log: %s: %s", (counted(lines, "line"), why)
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, told, what, None)
        return f"{formatter.format(record)}\n".encode("utf-8", "backslashreplace")

    return line


def _human(service: str) -> logging.Formatter:
    return logging.Formatter(
        f"%(asctime)s.%(msecs)03d {service}[%(process)d] %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"
    )


def _json(service: str) -> logging.Formatter:
    # Only those who want JSON pay for its library.
    from pythonjsonlogger.json import JsonFormatter

    class Lines(JsonFormatter):
        def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002
            return rfc3339(record.created)

    names = {"asctime": "time", "levelname": "level", "service": "service", "process": "pid", "message": "message"}
    return Lines(list(names), rename_fields=names, static_fields={"service": service}, json_serializer=_ascii)


def _ascii(value: object, **options: object) -> str:
    # JSON escapes every control character but DEL.
    written = json.dumps(value, separators=(",", ":"), **options)  # type: ignore[arg-type]
    return written.replace("\x7f", "\\u007f")


def open_destination(path: str = "", standard: Sequence[int] = (1, 2)) -> Write:
    """What writes the log's lines, for an `Output`.

    :param path: the file to write; empty: the first of `standard`, as it is. A file takes MOST_OCTETS and a write
        more, and BACKUPS older ones are kept beside it, `.1` the youngest; it is one process's.
    :param standard: the descriptors of standard output and error. A file takes their place: what else is said there,
        as by an interpreter that crashes, is found in the log.
    :raises OSError: the file cannot be opened, or is no plain file.
    """
    return _File(path, standard).write if path else _stream(standard)


class _File:
    """A log file, which is rotated where it has become large and more is to be written."""

    def __init__(self, path: str, standard: Sequence[int]) -> None:
        self._path = Path(path)
        self._standard = standard
        self._descriptor = -1
        self._size = 0
        self._open()

    def write(self, octets: bytes | bytearray) -> int:
        if self._size >= MOST_OCTETS:
            # What cannot be rotated is written all the same, and the next try is after as many octets more.
            self._size = 0
            with suppress(OSError):
                self._rotate()
        sent = os.write(self._descriptor, octets)
        self._size += sent
        return sent

    def _rotate(self) -> None:
        files = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, BACKUPS + 1))]
        for younger, older in reversed(list(pairwise(files))):
            with suppress(FileNotFoundError):
                younger.replace(older)
        self._open()

    def _open(self) -> None:
        # Not to wait for the other end, should it be a named pipe.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a plain file")
        self._size = status.st_size
        # A process that was killed may have left half a line.
        if self._size and os.pread(descriptor, 1, self._size - 1) != b"\n":
            with suppress(OSError):
                self._size += os.write(descriptor, b"\n")
        for number in self._standard:
            os.dup2(descriptor, number)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor


def _stream(standard: Sequence[int]) -> Write:
    """Writes to a descriptor, whatever it is, without ever waiting.

    The flag for that, O_NONBLOCK, must not be set: whoever shares the descriptor, as a shell does its terminal, would
    have it too. A second opening of the same pipe or terminal has flags of its own.
    """
    descriptor = standard[0] if standard else os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return partial(os.write, descriptor)
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        opened = os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:
        return partial(_write_where_there_is_room, descriptor)
    # A reader that is behind for a moment, as an engine that copies lines may be, finds them in the pipe, and finds
    # them there too when this process has been killed. What is no pipe has no such size.
    with suppress(OSError):
        fcntl.fcntl(opened, fcntl.F_SETPIPE_SZ, MOST_WAITING)
    return partial(os.write, opened)


def _write_where_there_is_room(descriptor: int, octets: bytes | bytearray) -> int:
    """For what cannot be opened anew, such as a socket.

    Where poll(2) says that it can be written, a pipe has room for PIPE_BUF octets (pipe(7)), and a socket for more.
    """
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    if not ready.poll(0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.write(descriptor, octets[: select.PIPE_BUF])
