"""Events: the lines of the logging module, faster, in one order with its own, written once a turn."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime import logs
from runtime import telling as module
from runtime.telling import OCTETS, SECONDS, EventLog, Form, Histogram, escaped, members
from tests.event_lines import event_log

FORMS = pytest.mark.parametrize("form", ["human", "json"])
HOSTILE = "a\nb\r\u2028c\x1b[2J\x7f\x9b31m\u202e\"}\n{é\U0001f4e7'"


@given(st.text())
@example(HOSTILE)
@example("\ud800")
def test_escaped_text_is_one_line_that_no_terminal_obeys(text: str) -> None:
    shown = escaped(text)
    assert not any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in shown)
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown


def test_text_that_is_shown_as_it_is_stays_as_it_is() -> None:
    assert escaped("RCPT TO:<joão@b> \U0001f4e7\u00a0") == "RCPT TO:<joão@b> \U0001f4e7\u00a0"


WELL_FORMED = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = WELL_FORMED | st.integers(0, 2**40) | st.booleans() | st.floats(0, 1e6)


@given(WELL_FORMED, st.dictionaries(WELL_FORMED, VALUES))
@example(HOSTILE, {"text": HOSTILE})
def test_a_line_for_programs_is_ascii_and_one_object_with_all_that_was_told(
    message: str, fields: dict[str, object]
) -> None:
    events, log = event_log("json")
    fields = {"event": "x", **{f"x{name}": value for name, value in fields.items()}}
    events.tell(message, members(**fields))
    events.flush()
    (line,) = log.text.split("\n")[:-1]
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert list(told)[:5] == ["time", "level", "service", "pid", "message"]
    assert (told["level"], told["service"], told["pid"]) == ("INFO", "test", os.getpid())
    assert told["message"] == message
    assert {name: told[name] for name in fields} == fields


def lines_of_both(form: Form, when_ns: int, message: str, fields: dict[str, object]) -> tuple[str, str]:
    """The line of an event, and the one that the logging module's record of it gives."""
    message = message if form == "json" else escaped(message)
    events, log = event_log(form, "gateway", lambda: when_ns)
    events.tell(message, members(**fields))
    events.flush()
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (message,), None)
    record.created, record.msecs = when_ns / 1e9, float(when_ns // 1_000_000 % 1000)
    record.__dict__ |= fields
    formatter = logs._json("gateway") if form == "json" else logs._human("gateway")
    return log.text, formatter.format(record) + "\n"


# A float of seconds has no more digits: the logging module's milliseconds are our own, but for the last.
TIMES = st.integers(0, 4_000_000_000_000 // 250).map(lambda quarter: quarter * 250_000_000)


@pytest.mark.parametrize("form", ["human", "json"])
@given(TIMES, WELL_FORMED)
@example(1_700_000_000_250_000_000, HOSTILE)
def test_an_event_looks_as_a_line_of_the_logging_module(form: Form, when_ns: int, message: str) -> None:
    of_event, of_record = lines_of_both(form, when_ns, message, {"event": "client", "session": "s-1", "ms": 0.5})
    assert of_event == of_record


@FORMS
def test_each_line_has_its_own_time_within_a_turn_too(form: Form) -> None:
    # Forwards over a second's end, and back, as a clock that is set.
    times = [1_700_000_000_998, 1_700_000_000_999, 1_700_000_001_000, 1_700_000_001_000, 1_700_000_000_999]
    clock = iter(times)
    events, log = event_log(form, clock=lambda: next(clock) * 1_000_000)
    for _ in times:
        events.tell("x", members(event="x"))
    events.flush()
    seconds = [line.partition("T22:13:")[2][:6] for line in log.text.split("\n")[:-1]]
    if form == "human":
        seconds = [line[17:23] for line in log.text.split("\n")[:-1]]
    assert seconds == ["20.998", "20.999", "21.000", "21.000", "20.999"]
    assert len(log.writes) == 1


@FORMS
def test_the_events_of_a_turn_are_one_write_at_its_end(form: Form) -> None:
    events, log = event_log(form)
    soon: list[Callable[[], None]] = []
    events.soon = soon.append
    for turn in range(3):
        for number in range(5):
            events.tell(f"{turn}.{number}", members(event="x"))
        assert (len(soon), len(log.writes)) == (1, turn)
        soon.pop()()
    assert len(log.writes) == 3
    assert log.text.count("\n") == 15
    events.flush()
    assert len(log.writes) == 3


@FORMS
def test_a_turn_with_very_many_events_does_not_keep_them_to_its_end(form: Form) -> None:
    events, log = event_log(form)
    for number in range(10 * module._MOST_LINES):
        events.tell(f"{number}", members(event="x"))
        assert len(events._lines) <= module._MOST_LINES
    assert len(log.writes) == 9


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EventLog, Path]]:
    """The log of a service, in this process."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = []
    events = logs.configure("gateway", "INFO", "human", str(tmp_path / "log"))
    assert events is not None
    yield events, tmp_path / "log"
    root.handlers[:] = before
    root.setLevel(level)


def test_events_and_other_lines_are_in_one_order(configured: tuple[EventLog, Path]) -> None:
    events, path = configured
    for number in range(3):
        events.tell(f"event {number}", members(event="x"))
        events.tell(f"and {number}", members(event="x"))
        logging.getLogger("x").warning("line %d", number)
        assert len(path.read_text().splitlines()) == 3 * (number + 1)
    events.flush()
    told = [line.rpartition("] ")[2].partition(" ")[2] for line in path.read_text().splitlines()]
    assert told == [f"{what} {number}" for number in range(3) for what in ("event", "and", "line")]


_SERVICE = """
import asyncio, os, signal, sys
from runtime.telling import members
from runtime.logs import configure

async def serve():
    events = configure("gateway", "INFO", sys.argv[1], sys.argv[2])
    events.soon = asyncio.get_running_loop().call_soon
    for turn in range(10):
        for number in range(5):
            events.tell(f"{turn}.{number}", members(event="x"))
            if turn == 9 and number == 3:
                os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(0)

asyncio.run(serve())
"""


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize("to_file", [True, False])
def test_a_process_that_is_killed_loses_the_turn_under_way_and_nothing_else(
    tmp_path: Path, form: str, to_file: bool
) -> None:
    file = str(tmp_path / "log") if to_file else ""
    command = [sys.executable, "-c", _SERVICE, form, file]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (-signal.SIGKILL, "")
    text = Path(file).read_text() if to_file else run.stdout
    lines = text.split("\n")
    told = [f"{turn}.{number}" for turn in range(9) for number in range(5)]
    assert lines.pop() == ""
    assert [json.loads(line)["message"] if form == "json" else line.split()[-1] for line in lines] == told


def test_a_bound_belongs_to_the_range_below_it() -> None:
    histogram = Histogram((1, 10))
    for value in (0, 1, 1.5, 10, 10.5, 1e9):
        histogram.add(value)
    assert histogram.counts == [2, 2, 2]


@given(st.lists(st.floats(0, 1e6)))
def test_every_value_is_counted_once_and_summed(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    assert sum(histogram.counts) == len(values)
    assert abs(histogram.sum - sum(values)) <= 1e-6 * max(1.0, sum(values))


def test_the_bounds_rise() -> None:
    for bounds in (SECONDS, OCTETS):
        assert all(lower < upper for lower, upper in pairwise(bounds))
