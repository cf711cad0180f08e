"""The judge of a fault run: what was acknowledged against what the mailboxes hold, by a reader that is not ours.

Lost: an acknowledged message that a recipient's mailbox does not hold. Doubled: a message twice in one mailbox.
Torn: a message that is not, octet for octet, what was sent, or that only some of its recipients have. Foreign: what
nobody sent to that mailbox.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

from runtime import counted
from tests import mailboxes
from tests.faults.load import Journal, text

_NUMBER = re.compile(rb"^Return-Path: <m(\d+)@load\.example\.net>$", re.MULTILINE)


@dataclass
class Verdict:
    """Each list has one line for each offence; a run is good when all are empty."""

    acknowledged: int = 0
    unacknowledged_but_stored: int = 0
    stored: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.torn or self.foreign)

    def __str__(self) -> str:
        lines = [
            f"{counted(self.acknowledged, 'message')} acknowledged,"
            f" {counted(self.stored, 'copy', 'copies')} in mailboxes,"
            f" {self.unacknowledged_but_stored} stored without a 250 having been seen",
            f"{len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.torn)} torn, {len(self.foreign)} foreign",
        ]
        for kind in ("lost", "doubled", "torn", "foreign"):
            lines += [f"  {kind}: {offence}" for offence in getattr(self, kind)[:10]]
        return "\n".join(lines)


def judge(journal: Journal, files: Mapping[str, Iterable[Path]], largest: int) -> Verdict:
    """Read every mailbox and compare.

    :param journal: what the load sent.
    :param files: address → the files that make up its mailbox: the one of the server, and those a user moved away.
    :param largest: the size limit that the load's texts were made with, in octets.
    """
    verdict = Verdict(acknowledged=len(journal.acknowledged))

    @cache  # a message may be in fifty mailboxes, and making its text takes longer than reading it
    def expected(number: int) -> bytes:
        # Under the trace lines an empty message has only the empty line that ends the header section.
        return sha256(text(journal.seed, number, largest, journal.sent[number].size) or b"\n").digest()

    found: dict[int, Counter[str]] = {}
    for address, paths in files.items():
        for path in paths:
            for stored in mailboxes.read(path):
                verdict.stored += 1
                number = _NUMBER.search(stored.trace)
                sent = journal.sent.get(int(number[1])) if number else None
                if sent is None or address not in sent.recipients:
                    verdict.foreign.append(f"{stored.delivery} in {path.name}")
                    continue
                found.setdefault(sent.number, Counter())[address] += 1
                if sha256(stored.text).digest() != expected(sent.number):
                    verdict.torn.append(f"message {sent.number} ({stored.delivery}) in {path.name}")
                if sent.delivery and sent.delivery != stored.delivery:
                    verdict.foreign.append(f"message {sent.number}: {stored.delivery}, the 250 said {sent.delivery}")
    _compare(journal, found, verdict)
    return verdict


def _compare(journal: Journal, found: Mapping[int, Counter[str]], verdict: Verdict) -> None:
    """Note what is missing or there twice; `found` counts the copies of each message by address."""
    for sent in journal.sent.values():
        copies = found.get(sent.number, Counter())
        missing = [address for address in sent.recipients if not copies[address]]
        verdict.doubled += [f"message {sent.number} in {address}" for address, n in copies.items() if n > 1]
        if sent.delivery:
            verdict.lost += [f"message {sent.number} ({sent.delivery}) for {address}" for address in missing]
        elif copies:
            verdict.unacknowledged_but_stored += 1
            verdict.torn += [f"message {sent.number}, not acknowledged, has no copy for {a}" for a in missing]
