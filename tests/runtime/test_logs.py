"""Log lines: on standard output, at once, for people or for programs, and nobody else can write one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from runtime.logs import rfc3339

_START = """
import logging
from runtime.logs import configure
configure("gateway", "INFO", {form!r})
log = logging.getLogger("x")
"""


def lines(form: str, program: str) -> list[str]:
    command = [sys.executable, "-c", _START.format(form=form) + program]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"TZ": "Asia/Tokyo"})
    assert run.stderr == ""
    return run.stdout.split("\n")[:-1]


def test_a_line_for_people_names_time_service_process_and_level() -> None:
    (line,) = lines("human", "log.debug('hidden'); log.info('shown %d', 1, extra={'session': 's-1'})")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} gateway\[\d+\] INFO shown 1", line)


def test_a_line_for_programs_is_an_object_with_the_fields_of_its_call() -> None:
    (line,) = lines("json", "log.debug('hidden'); log.info('shown %d', 1, extra={'session': 's-1', 'ms': 0.5})")
    told = json.loads(line)
    assert list(told)[:5] == ["time", "level", "service", "pid", "message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told.pop("pid") > 0
    assert told == {"level": "INFO", "service": "gateway", "message": "shown 1", "session": "s-1", "ms": 0.5}


def test_an_exception_stays_within_its_line() -> None:
    (line,) = lines("json", "\ntry: 1/0\nexcept Exception: log.exception('oh')")
    told = json.loads(line)
    assert (told["level"], told["message"]) == ("ERROR", "oh")
    assert "ZeroDivisionError" in told["exc_info"]


@pytest.mark.parametrize(
    "text", ["a\nb\r\u2028c", '"}\n{"level": "ERROR"}', "\x1b[2J\x7f\x9b31m\u202e", "\ud800", "é"]
)
def test_no_text_breaks_out_of_its_line_or_reaches_a_terminal_as_it_is(text: str) -> None:
    (line,) = lines("json", f"log.info(%r, extra={{'text': {text!r}}})" % f"said {text}".replace("%", "%%"))
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert (told["message"], told["text"]) == (f"said {text}", text)


def test_times_are_in_utc_with_milliseconds() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
