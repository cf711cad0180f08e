"""Log lines on standard output, one event each, flushed at once so that a conversation can be watched live.

Gives: `configure`. Lines are for people (`human`), or JSON objects for programs (`json`): `time` (RFC 3339, UTC,
milliseconds), `level`, `service`, `pid`, `message`, the trace of an exception as `exc_info`, and whatever the call
gave as `extra`: what is about a session or a delivery carries `session`, `delivery` and `event` there.
Limits: JSON is ASCII without a control character, so no text can break out of its line; in human lines the caller
escapes what comes from elsewhere.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

# LOG_FORMAT.
Form = Literal["human", "json"]


def configure(service: str, level: str, form: Form = "human") -> None:
    """Send this process's log to standard output.

    :param service: the name each line carries.
    :param level: a level name of the logging module, such as "INFO".
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_json(service) if form == "json" else _human(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def rfc3339(seconds: float) -> str:
    """A time in seconds since the epoch as RFC 3339 has it, in UTC with milliseconds: 2026-11-23T10:16:10.123Z"""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


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
    return json.dumps(value, **options).replace("\x7f", "\\u007f")  # type: ignore[arg-type]
