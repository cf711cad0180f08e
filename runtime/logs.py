"""A service's log, a line for each event, written at once or with the others of its turn: it can be watched live.

Gives: `configure`, which has the logging module write to the log, and gives the `EventLog` for what is told of each
line and each message. Lines are for people (`human`), or JSON objects for programs (`json`): `time` (RFC 3339, UTC,
milliseconds), `level`, `service`, `pid`, `message`, the trace of an exception as `exc_info`, and whatever the call
gave as `extra`: what is about a session or a delivery carries `session`, `delivery` and `event` there. `catch_up` and
`lost` are about lines that could not be written (`log_output.py`).
Fails: a log file that cannot be opened is told, and the log goes to standard output.
Limits: JSON is ASCII without a control character, so no text can break out of its line; in human lines the caller
escapes what comes from elsewhere.
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from runtime import counted
from runtime.event_log import EventLog, Form
from runtime.log_output import Output

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
        output = Output(_gap_line(formatter), file, standard)
    except OSError as error:
        trouble = error.strerror or str(error)
        output = Output(_gap_line(formatter), "", standard)
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
