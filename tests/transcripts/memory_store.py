"""A mail store of a few lines: answers the dialogue's questions from memory, for tests of the dialogue.

It is written apart from the real store, from the description of the mailbox file, so that the two check each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from wire.codec import decode, encode
from wire.messages import Ask, Check, Deliver, Discard, Lookup, Question, Stage
from wire.outcomes import (
    DISK_FULL,
    EXPIRED,
    TROUBLE,
    Delivered,
    Discarded,
    Failed,
    Found,
    NoSuchUser,
    NotOurDomain,
    Outcome,
    Staged,
    TimedOut,
    Unwritable,
    Writable,
)

_FAILURES: dict[str, Outcome] = {
    "silent": TimedOut(),
    "trouble": Failed(TROUBLE, "for the test"),
    "full": Failed(DISK_FULL, "for the test"),
    "slow": Failed(EXPIRED, "for the test"),
}
# Some of the fields that a reader would obey.
_STEERING = re.compile(
    rb"(?im)^(?:X-Sender-)*"
    rb"(?:(?:Content-Length|(?:X-)?Status|Return-Path|Delivered-To|X-Original-To)[ \t]*:|X-Mozilla-)"
)
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:|\n")


class MemoryStore:
    """Users in the order of users.txt; `mailboxes` holds the files of those that got mail.

    :param lasting: what it says holds as long as it would in the real store; otherwise nothing may be used again, for
        faults come and go.
    """

    def __init__(self, users: Iterable[str], *, lasting: bool = False) -> None:
        self._lasts = 1 if lasting else 0
        self.users = list(users)
        self.mailboxes: dict[str, bytes] = {}
        self.staged: dict[str, dict[int, bytes]] = {}
        self._delivered: set[str] = set()
        self._fault = "well"
        self._unwritable: set[str] = set()

    def suffer(self, fault: str) -> None:
        """Be `well`, `silent`, `slow`, in `trouble`, `full`, or have one mailbox `unwritable <address>`."""
        kind, _, address = fault.partition(" ")
        if kind not in {"well", "unwritable", *_FAILURES}:
            raise ValueError(f"no such fault: {fault}")
        self._fault = kind
        self._unwritable = {address} if kind == "unwritable" else set()

    def answer(self, question: Question) -> Outcome:
        assert decode(encode([Ask(1, 1, question)])).messages == [Ask(1, 1, question)], "a store would not get it"
        failure = _FAILURES.get(self._fault)
        # A full disk still reads, and a troubled one still forgets.
        spared = {"full": (Lookup, Check, Discard), "trouble": Discard}.get(self._fault, ())
        if failure is not None and not isinstance(question, spared):
            return failure
        match question:
            case Lookup(local, domain):
                return self._lookup(local, domain)
            case Check(mailboxes):
                bad = [name for name in mailboxes if name in self._unwritable]
                return Unwritable(bad[0], "read-only") if bad else Writable(holds=250 * self._lasts)
            case Stage(delivery, offset, data):
                pieces = self.staged.setdefault(delivery, {})
                pieces[offset] = data
                return Staged(sum(map(len, pieces.values())))
            case Discard(delivery):
                self.staged.pop(delivery, None)
                return Discarded()
            case Deliver():
                return self._deliver(question)

    def _lookup(self, local: str, domain: str) -> Outcome:
        folded = {user.casefold(): user.casefold() for user in self.users}
        domains = {user.rpartition("@")[2].casefold() for user in self.users}
        if not domain and local != "postmaster":
            same = [user for user in folded if user.rpartition("@")[0] == local.casefold()]
            return Found(same[0]) if len(same) == 1 else NoSuchUser()
        if domain and domain.casefold() not in domains and "*@*" not in folded:
            return NotOurDomain()
        for name in (f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}", f"*@{domain}", "*@*"):
            if found := folded.get(name.casefold()):
                return self._found(found)
        if local.casefold() != "postmaster":
            return NoSuchUser()
        return self._found(self.users[0].casefold()) if domain else Found(self.users[0].casefold())

    def _found(self, mailbox: str) -> Outcome:
        writable = mailbox not in self._unwritable
        return Found(mailbox, holds=300 * self._lasts, writable_for=250 * self._lasts * writable)

    def _deliver(self, deliver: Deliver) -> Outcome:
        if deliver.delivery in self._delivered:
            return Delivered(repeat=True)
        pieces = self.staged.pop(deliver.delivery, {})
        text = b"".join(pieces[offset] for offset in sorted(pieces))
        if len(text) != deliver.staged:
            return Failed(TROUBLE, f"{len(text)} octets are staged, not {deliver.staged}")
        self._delivered.add(deliver.delivery)
        for mailbox in deliver.mailboxes:
            entry = render(deliver, mailbox, text + deliver.data)
            self.mailboxes[mailbox] = self.mailboxes.get(mailbox, b"") + entry
        return Delivered(repeat=False)


def render(deliver: Deliver, mailbox: str, text: bytes) -> bytes:
    """One entry of a mailbox file, in mboxrd."""
    date = datetime.fromtimestamp(deliver.time // 1000, UTC).strftime("%a %b %e %H:%M:%S %Y")
    begin = (
        f"From {deliver.sender or 'MAILER-DAEMON'} {date}\nReturn-Path: <{deliver.sender}>\nDelivered-To: {mailbox}\n"
    )
    for place, address in deliver.originals:
        if deliver.mailboxes[place] == mailbox:
            begin += f"X-Original-To: {address}\n"
    if not _HEADER.match(text):
        text = b"\n" + text
    header, empty, body = text.partition(b"\n\n")
    text = (_STEERING.sub(rb"X-Sender-\g<0>", header) if header else header) + empty + body
    if not text.endswith(b"\n"):
        text += b"\n"
    return begin.encode() + deliver.trace + re.sub(rb"(?m)^(>*From )", rb">\1", text) + b"\n"
