"""Mailbox files as the store writes them, for tests of what reads them."""

from __future__ import annotations

import fcntl
from pathlib import Path


def entry(
    id: str = "9f3a-1.1",
    subject: str = "Hello",
    sender: str = "bo@example.net",
    text: str = "hi\n",
    to: str = "ana@example.org",
    mailbox: str = "ana@example.org",
) -> bytes:
    """One message, as it stands in a mailbox; there are commas between several recipients `to`."""
    path = sender or "MAILER-DAEMON"
    only = "" if "," in to else f"\n\tfor <{to}>"
    header = f"To: {to}\n" if "," in to else ""
    recipients = [each.strip() for each in to.split(",")]
    originals = "".join(f"X-Original-To: {each}\n" for each in recipients if each != mailbox)
    return (
        f"From {path} Mon Nov 23 07:05:55 2026\nReturn-Path: <{sender}>\nDelivered-To: {mailbox}\n"
        f"{originals}Received: from home ([127.0.0.1])\n\tby correio.localhost with ESMTP id {id}"
        f"{only}; Mon, 23 Nov 2026 07:05:55 +0000\n"
        f"From: Bo <{path}>\n{header}Subject: {subject}\n\n{text}\n"
    ).encode()


def put(folder: Path, *entries: bytes, name: str = "ana@example.org") -> Path:
    """Append to a mailbox under its lock, as the store does; gives the file."""
    path = folder / f"{name}.txt"
    with path.open("ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        file.write(b"".join(entries))
    return path
