"""Which modules of ours a command runs through, in all processes of a stack, as the interpreter saw it.

`python -m tests.tracing` prints them, and puts their table into docs/life-of-a-message.md.

Each process notes when which function is entered (`sys.settrace`), in the one clock that all processes share. What
counts for a command lies between the first thing that a process received after the client had sent it, and the last
thing that it sent before the client had the reply; in the gateway that is the read of the client's octets and the
write of the reply. What a process does beside it, such as a heartbeat, is not there every time: a command is given
several times, cold each time, and what all of them ran through is what is told.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from bench.document import refreshed
from tests.conditions import wait_until
from tests.stack import ROOT, Stack

LIFE = ROOT / "docs" / "life-of-a-message.md"
_SHARED = ("mail", "runtime", "wire")
SERVICES = {"gateway": "gateway", "session_worker-1": "session worker", "mailbox_store": "mailbox store"}
# Functions of others: of asyncio towards the client, of pyzmq towards the other services.
_READ, _WRITTEN, _RECEIVED, _SENT = "read", "written", "received", "sent"
_TIMES = 5
# uvloop's reads and writes are no Python functions; asyncio's are, and both call the same ones of ours.
_TRACED = """
import asyncio, atexit, json, runpy, sys, threading, time
import uvloop
uvloop.run, uvloop.new_event_loop = asyncio.run, asyncio.new_event_loop
MARKS = {{
    ("selector_events.py", "_read_ready"): "read",
    ("selector_events.py", "write"): "written",
    ("socket.py", "recv_multipart"): "received",
    ("socket.py", "send_multipart"): "sent",
}}
known, noted = {{}}, []
def label(code):
    if code.co_filename.startswith({root!r}) and "/site-packages/" not in code.co_filename:
        return f"{{code.co_filename[len({root!r}):]}}:{{code.co_qualname}}"
    return MARKS.get((code.co_filename.rpartition("/")[2], code.co_name))
def note(frame, event, argument):
    code = frame.f_code
    if code not in known:
        known[code] = label(code)
    if known[code] is not None:
        noted.append((time.monotonic_ns(), known[code]))
threading.settrace(note)
sys.settrace(note)
atexit.register(lambda: json.dump(noted, open({name!r} + ".noted", "w")))
runpy.run_module({service!r}, run_name="__main__", alter_sys=True)
"""

Noted = list[tuple[int, str]]
Functions = dict[str, set[str]]


def files(functions: Functions) -> set[str]:
    """The files of the functions of all services."""
    return {each.partition(":")[0] for its in functions.values() for each in its}


def run_through() -> dict[str, Functions]:
    """Command → service → the functions of ours that it ran through, each as file, colon, qualified name.

    The commands are a cold RCPT, of a mailbox and from a sender that nobody has seen, and `message`, the text of a
    mail with the end of data behind it.
    """
    times: dict[str, list[tuple[int, int]]] = {}
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        users = "".join(f"user{number}@example.com\n" for number in range(_TIMES + 1))
        stack = Stack(Path(name), workers=1, users=users)
        try:
            for service in ("mailbox_store", "session_worker-1", "gateway"):
                module = service.partition("-")[0]
                stack.start(service, _TRACED.format(root=f"{ROOT}/", name=service, service=module))
            wait_until(stack.takes_mail, f"the stack takes mail\n{stack.logs()}")
            for number in range(1, _TIMES + 1):
                for command, span in _mail(stack, number).items():
                    times.setdefault(command, []).append(span)
        finally:
            stack.stop()
        noted: dict[str, Noted] = {each: json.loads((Path(name) / f"{each}.noted").read_text()) for each in SERVICES}
    return {
        command: {
            SERVICES[service]: set.intersection(*(_between(noted[service], *span) for span in spans))
            for service in SERVICES
        }
        for command, spans in times.items()
    }


def _mail(stack: Stack, number: int) -> dict[str, tuple[int, int]]:
    """Send one; gives from when to when each command was under way, in ns."""
    spans: dict[str, tuple[int, int]] = {}
    with stack.connect() as client:
        assert client.reply().startswith("220 ")
        assert client.command("EHLO client.example.net").startswith("250-")
        assert client.command(f"MAIL FROM:<sender{number}@example.net>").startswith("250 ")
        for name, command, code in (
            ("RCPT", f"RCPT TO:<user{number}@example.com>", "250 "),
            ("", "DATA", "354 "),
            ("message", "Subject: one\r\n\r\nText.\r\n.", "250 "),
        ):
            began = time.monotonic_ns()
            assert client.command(command).startswith(code)
            if name:
                spans[name] = (began, time.monotonic_ns())
    return spans


def _between(noted: Noted, began: int, ended: int) -> set[str]:
    within = [(at, label) for at, label in noted if began <= at <= ended]
    labels = {label for _, label in within}
    first, last = (_READ, _WRITTEN) if _WRITTEN in labels else (_RECEIVED, _SENT)
    if not {first, last} <= labels:
        return set()
    begin = min(at for at, label in within if label == first)
    end = max(at for at, label in within if label == last)
    return {label for at, label in within if begin <= at <= end} - {_READ, _WRITTEN, _RECEIVED, _SENT}


def table(commands: dict[str, Functions]) -> str:
    """As docs/life-of-a-message.md has it: the files by service, and apart what is no service's."""
    heads = [f"{command}: {len(files(functions))}" for command, functions in commands.items()]
    rows = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for service in SERVICES.values():
        package = service.replace(" ", "_")
        own = [[each for each in files(its) if each.startswith(f"{package}/")] for its in commands.values()]
        rows.append(f"| {service} | {' | '.join(map(_names, own))} |")
    shared = [[each for each in files(its) if each.partition("/")[0] in _SHARED] for its in commands.values()]
    rows.append(f"| shared | {' | '.join(map(_names, shared))} |")
    return "\n" + "\n".join(rows) + "\n\n"


def _names(its: list[str]) -> str:
    return ", ".join(f"`{file}`" for file in sorted(its))


def main() -> None:
    commands = run_through()
    for command, services in commands.items():
        print(f"{command}: {len(files(services))} modules")
        for service, its in services.items():
            for file in sorted(files({service: its})):
                names = sorted(each.partition(":")[2] for each in its if each.startswith(f"{file}:"))
                print(f"  {service}: {file}: {', '.join(names)}")
    LIFE.write_text(refreshed(LIFE.read_text("utf-8"), {"modules": table(commands)}), "utf-8")


if __name__ == "__main__":
    main()
