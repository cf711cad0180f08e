"""What the dialogue is told to allow: the part of a worker's settings that decides replies."""

from __future__ import annotations

from enum import Enum

from session_worker.faults.rules import Rule
from wire.records import Record


class SenderDomainRule(Enum):
    """When the sender's domain must be the domain said in the greeting."""

    HELO = "helo"  # sessions that said HELO: the course exercise's rule; EHLO names a host, not a mail domain
    ALWAYS = "always"
    NEVER = "never"


class Faults(Record):
    """What is to fail on cue: the rules of FAULT_RULES, and FAULT_SEED."""

    rules: tuple[Rule, ...] = ()
    seed: int = 0


class Rules(Record):
    """The limits and habits of this server.

    `domain` is its own name, `strict` the profile that tolerates no deviation from RFC 5321. `max_message_octets`
    counts a message's octets, `max_recipients` the recipients of one transaction, `max_errors` the 5xx replies that
    a session may get before it is closed. Where `explain` is on a session may ask to be told what is done with it,
    `worker` being the name of this process then. `faults` is None where nothing fails on cue.
    """

    domain: str = "correio.localhost"
    strict: bool = False
    sender_domain_rule: SenderDomainRule = SenderDomainRule.HELO
    max_message_octets: int = 32 * 1024 * 1024
    max_recipients: int = 1000
    max_errors: int = 20
    vrfy: bool = True
    explain: bool = False
    worker: str = ""
    faults: Faults | None = None
