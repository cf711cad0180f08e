"""A session worker's settings, from its environment; the README's table lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from mail.address import parse_domain
from runtime.settings import Settings
from session_worker.dialogue.turn import Policy, SenderDomainRule
from session_worker.faults.cue import Faults
from session_worker.faults.rules import Rule, RuleError, parse
from wire.limits import MAX_RECIPIENTS

# A TiB: no disk here takes such a message, and the numbers of a message between services end at 2**64.
_MOST_BYTES = 2**40


class WorkerSettings(Settings):
    """`GATEWAY_ENDPOINT` may name several gateways, separated by commas; times are seconds and may be fractions."""

    domain: str = "correio.localhost"
    gateway_endpoint: str = "tcp://127.0.0.1:12001"
    store_endpoint: str = "tcp://127.0.0.1:12002"
    profile: Literal["friendly", "strict"] = "friendly"
    sender_domain_rule: Literal["helo", "always", "never"] = "helo"
    max_message_bytes: Annotated[int, Field(ge=1, le=_MOST_BYTES)] = 32 * 1024 * 1024
    # RFC 5321 section 4.5.3.1.8: a server takes 100 recipients at least.
    max_recipients: Annotated[int, Field(ge=100, le=MAX_RECIPIENTS)] = 1000
    max_errors: Annotated[int, Field(ge=1)] = 20
    vrfy: bool = True
    explain: bool = False
    # Failures on cue, for tests of clients; the rules are a file's, or stand here themselves.
    faults: bool = False
    fault_rules: str = ""
    fault_seed: int = 0
    # Whether each delivery is told on the log.
    conversation: Literal["on", "off"] = "on"
    store_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30
    shutdown_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        domain = parse_domain(value)
        if not domain.isascii():
            raise ValueError("must be ASCII: it is said before a client can ask for UTF-8")
        return domain

    @field_validator("fault_rules")
    @classmethod
    def _rules_of_faults(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("faults"):
            raise ValueError("has no effect without FAULTS=on")
        try:
            _fault_rules(value)
        except (RuleError, OSError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("gateway_endpoint", "store_endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        for endpoint in value.split(","):
            if not endpoint.strip().startswith(("tcp://", "ipc://")):
                raise ValueError("must be tcp://host:port or ipc:///path")
        return value

    def gateways(self) -> list[str]:
        """The endpoint of each gateway."""
        return [endpoint.strip() for endpoint in self.gateway_endpoint.split(",")]

    def policy(self) -> Policy:
        """The settings that the dialogue needs."""
        return Policy(
            domain=self.domain,
            strict=self.profile == "strict",
            sender_domain_rule=SenderDomainRule(self.sender_domain_rule),
            max_message_octets=self.max_message_bytes,
            max_recipients=self.max_recipients,
            max_errors=self.max_errors,
            vrfy=self.vrfy,
            explain=self.explain,
            faults=Faults(_fault_rules(self.fault_rules), self.fault_seed) if self.faults else None,
        )


def _fault_rules(given: str) -> tuple[Rule, ...]:
    """The rules that FAULT_RULES has: they begin with "at ", everything else is the path of a file.

    :raises RuleError, OSError, UnicodeDecodeError: they cannot be had.
    """
    if given and not given.startswith(("at ", "#")):
        given = Path(given).read_text("utf-8")
    return parse(given)
