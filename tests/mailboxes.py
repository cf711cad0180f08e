"""Mailboxes read with a reader that is not ours: Python's `mailbox.mbox`."""

from __future__ import annotations

import mailbox
import re
from dataclasses import dataclass
from pathlib import Path

# The header lines that the store and the worker put above a message, with the folded lines that go on.
_TRACE = re.compile(rb"\AReturn-Path:.*\nDelivered-To:.*\n(?:X-Original-To:.*\n)*Received:.*\n(?:[ \t].*\n)*")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_ID = re.compile(rb"\bid ([\w.-]+)")


@dataclass(frozen=True)
class Stored:
    """One message of a mailbox: `text` is what its sender sent, with LF line ends, mboxrd quoting undone."""

    delivery: str
    separator: str
    trace: bytes
    text: bytes


def read(path: Path) -> list[Stored]:
    """All messages of a mailbox file, oldest first.

    :raises AssertionError: if a message lacks its trace lines, which means that the file is torn.
    """
    box = mailbox.mbox(path, create=False)
    try:
        stored = []
        for key in box.keys():  # noqa: SIM118  # iterating the box itself parses every message
            octets = box.get_bytes(key, from_=True)
            separator, _, message = octets.partition(b"\n")
            trace = _TRACE.match(message)
            assert trace, f"{path}: message {key} begins with {message[:80]!r}"
            identity = _ID.search(trace[0])
            assert identity, f"{path}: message {key} has no delivery id"
            text = _QUOTED_FROM.sub(rb"\1", message[trace.end() :])
            stored.append(Stored(identity[1].decode(), separator.decode(), trace[0], text))
        return stored
    finally:
        box.close()
