"""Log lines: on standard output, at once, for people or for programs, and nobody else can write one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.logs import rfc3339
from tests.stack import Stack, wait_until

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
def test_where_conversations_are_not_logged_the_store_tells_no_delivery_either(folder: Path) -> None:
    with Stack(folder, LOG_FORMAT="json", CONVERSATION="off") as stack:
        delivery = send(stack)
        texts = {name: stack.log(name) for name in stack.processes}
    assert delivery not in texts["mailbox_store"] + texts["gateway"]
