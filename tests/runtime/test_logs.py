"""Log lines: on standard output, at once, for people or for programs, and nobody else can write one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runtime.logs import rfc3339
from tests.conditions import wait_until
from tests.faults.test_bounds import MIB
from tests.faults.test_disk import fill, small_disk
from tests.scraping import scrape
from tests.stack import Stack

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


def test_a_level_above_info_leaves_nothing_to_tell_of_events() -> None:
    assert lines("human", "print(configure('x', 'INFO') is None, configure('x', 'WARNING') is None)") == [
        "False True"
    ]


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_log_file_that_cannot_be_had_is_told_and_the_log_goes_to_standard_output(tmp_path: Path, form: str) -> None:
    path = tmp_path / "none" / "log"
    told, line = lines(form, f"configure('gateway', 'INFO', {form!r}, {str(path)!r}); log.info('shown')")
    assert f"! LOG_FILE={path}: No such file or directory; the log goes to standard output" in told
    assert "shown" in line


_IN_THREADS = """
import threading

def tell(name):
    for number in range(500):
        log.info("%s %d", name, number)

events = configure("gateway", "INFO")
threads = [threading.Thread(target=tell, args=[name]) for name in "abc"]
for thread in threads:
    thread.start()
for number in range(500):
    events.tell(f"d {number}", '"event":"x"')
for thread in threads:
    thread.join()
"""


def test_what_other_threads_log_in_the_midst_of_a_turn_breaks_and_loses_no_line() -> None:
    told = [line.rpartition(" INFO ")[2] for line in lines("human", _IN_THREADS)]
    assert len(told) == 2000
    for name in "abcd":
        assert [line for line in told if line[0] == name] == [f"{name} {number}" for number in range(500)]


def send(stack: Stack) -> str:
    """One mail in a session of its own, in which the client tries to forge log lines; gives the delivery id."""
    with stack.connect() as client:
        client.reply()
        for line in (
            'NOOP "}',
            '{"event": "forged"}',
            "NOOP \x1b[2J\x7f\x9b\u2028",
            'NOOP \\u000a{"event": "forged"}',
        ):
            client.command(line, ending="\n")
        assert client.command("HELO example.net", ending="\n").startswith("250")
        assert client.command("MAIL FROM:<a@example.net>", ending="\n").startswith("250")
        assert client.command("RCPT TO:<maria@example.com>", ending="\n").startswith("250")
        assert client.command("DATA", ending="\n").startswith("354")
        reply = client.command("Subject: x\n\nsecret\n.", ending="\n")
        assert reply.startswith("250 2.0.0")
        assert client.command("QUIT", ending="\n").startswith("221")
    return reply.split()[-1]


@pytest.mark.stack
def test_the_story_of_a_delivery_can_be_gathered_from_the_logs_of_all_services(folder: Path) -> None:
    with Stack(folder, LOG_FORMAT="json") as stack:
        deliveries = [send(stack), send(stack)]
        wait_until(lambda: stack.log("gateway").count('"closed"') >= 3, "the sessions are over")
        texts = {name: stack.log(name) for name in stack.processes}
    told: list[dict[str, Any]] = []
    for text in texts.values():
        assert text.isascii()
        assert not set(text) - set(map(chr, range(0x20, 0x7F))) - {"\n"}
        told += [json.loads(line) for line in text.splitlines()]
    assert {line["service"] for line in told} == {"gateway", "session_worker", "store"}
    assert not any(line.get("event") == "forged" or "secret" in line["message"] for line in told)
    for delivery in deliveries:
        session = delivery.rpartition(".")[0]
        story = sorted((line for line in told if line.get("session") == session), key=lambda line: line["time"])
        events = {(line["service"], line.get("event")) for line in story}
        assert {
            ("gateway", "connected"),
            ("gateway", "client"),
            ("gateway", "server"),
            ("gateway", "message"),
            ("session_worker", "delivered"),
            ("store", "stored"),
            ("gateway", "closed"),
        } <= events
        assert [line["verb"] for line in story if line.get("event") == "client"][-5:] == [
            "HELO",
            "MAIL",
            "RCPT",
            "DATA",
            "QUIT",
        ]
        of_delivery = {line["service"] for line in told if line.get("delivery") == delivery}
        assert of_delivery == {"gateway", "session_worker", "store"}


@pytest.mark.stack
def test_where_conversations_are_not_logged_nobody_tells_of_a_delivery_either(folder: Path) -> None:
    with Stack(folder, LOG_FORMAT="json", LOG_LEVEL="DEBUG", CONVERSATION="off") as stack:
        delivery = send(stack)
        texts = {name: stack.log(name) for name in stack.processes}
    events = {json.loads(line).get("event") for text in texts.values() for line in text.splitlines()}
    assert delivery
    # What a worker asks is told at DEBUG, whatever CONVERSATION says.
    assert events == {None, "asks"}


@pytest.mark.stack
@pytest.mark.parametrize("own", [True, False])
def test_all_that_a_client_was_answered_is_in_the_logs_of_services_that_are_killed(folder: Path, own: bool) -> None:
    stack = Stack(folder, workers=1, logs=folder if own else None, LOG_FORMAT="json")
    with stack:
        delivery = send(stack)
        for name in stack.processes:
            stack.kill(name)
        events = [json.loads(line) for name in stack.processes for line in stack.log(name).splitlines()]
    of_it = {(line["service"], line["event"]) for line in events if line.get("delivery") == delivery}
    assert of_it == {("session_worker", "delivered"), ("store", "stored"), ("gateway", "server")}
    assert [line["text"] for line in events if line.get("event") == "client"][-1] == "QUIT"


@pytest.mark.stack
def test_a_pipe_that_nobody_reads_costs_lines_and_no_mail(folder: Path) -> None:
    reading, writing = os.pipe()
    stack = Stack(folder, workers=1, metrics=True)
    with stack:
        stack.terminate("gateway")
        stack.start("gateway", output=writing)
        os.close(writing)
        wait_until(stack.takes_mail, "the gateway is back")
        with stack.connect() as client:
            assert client.reply().startswith("220")
            for _ in range(2 * MIB // 1000):
                assert client.command("NOOP " + "x" * 1000).startswith("250")
            assert scrape(stack.metrics["gateway"])("correio_log_lines_lost_total") > 0
            assert send(stack)
            text: list[bytes] = []

            def read() -> None:
                while octets := os.read(reading, 65536):
                    text.append(octets)

            reader = threading.Thread(target=read)
            reader.start()
            wait_until(lambda: b"! lost from the log: " in b"".join(text), "the gap is told")
            assert client.command("NOOP after").startswith("250")
            wait_until(lambda: b" C: NOOP after\n" in b"".join(text), "the log goes on")
    reader.join()
    os.close(reading)


@pytest.mark.stack
def test_a_full_disk_below_the_logs_costs_lines_and_no_mail(folder: Path) -> None:
    with small_disk(folder / "disk", 2 * MIB) as disk:
        stack = Stack(folder, workers=1, metrics=True, logs=disk)
        with stack, stack.connect() as client:
            assert client.reply().startswith("220")
            ballast = fill(disk)

            def lost() -> float:
                return scrape(stack.metrics["gateway"])("correio_log_lines_lost_total")

            # The disk's last page, what the gateway holds back, and more.
            line = "NOOP " + "x" * 1000
            for _ in range(2 * MIB // len(line)):
                assert client.command(line).startswith("250")
            assert lost() > 0
            ballast.unlink()
            wait_until(lambda: "! lost from the log: " in stack.log("gateway"), "the gap is told")
            assert client.command("HELO after.example.net").startswith("250")
            wait_until(lambda: "C: HELO after.example.net" in stack.log("gateway"), "the log goes on")
            assert f"! lost from the log: {lost():.0f} lines: No space left on device" in stack.log("gateway")
