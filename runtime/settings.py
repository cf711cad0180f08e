"""Settings come from environment variables, are checked once at start, and never change while a service runs.

Each service has a `config.py` with a subclass of `Settings`. The README's table lists every variable.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Literal, TypeVar

from pydantic import ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.telling import Form

# sysexits.h EX_CONFIG: supervisors and people can tell a bad setting from a crash.
EX_CONFIG = 78
_MAX_PORT = 65535


def endpoint(value: str) -> tuple[str, int]:
    """The IP address and TCP port of `address:port`; an IPv6 address stands in brackets (RFC 3986 section 3.2.2).

    :raises ValueError: for anything else; port 0 lets the system choose.
    """
    host, _, port = value.rpartition(":")
    try:
        address = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
        if (address.version == 6) is host.startswith("[") and port.isdecimal() and int(port) <= _MAX_PORT:
            return str(address), int(port)
    except ValueError:
        pass
    raise ValueError("must be an IP address of this machine and a port, such as 127.0.0.1:9120 or [::1]:9120")


class Settings(BaseSettings):
    """What every service takes from its environment; the field `log_level` is the variable LOG_LEVEL."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # How log lines look: for people, or a JSON object each for programs.
    log_format: Form = "human"
    # A file for the log, which the service rotates; no other process may have the same. Empty: standard output.
    log_file: str = ""
    # A file that is written every second while the service is ready, with its figures; empty: none. `{host}` in it is
    # this machine's name. Health checks look at its age.
    ready_file: str = ""
    # Where numbers and signs of life are served over HTTP (`probes.py`), such as 127.0.0.1:9120; empty: nowhere.
    metrics: str = ""

    @field_validator("metrics")
    @classmethod
    def _metrics_is_an_endpoint(cls, value: str) -> str:
        if value:
            endpoint(value)
        return value


AnySettings = TypeVar("AnySettings", bound=Settings)


def load(cls: type[AnySettings], service: str) -> AnySettings:
    """Read a service's settings; on a bad one, say which on stderr and end the process with EX_CONFIG.

    :param service: the name that the error lines start with.
    """
    try:
        return cls()
    except ValidationError as error:
        for problem in error.errors():
            # A validator over the whole model has no field of its own to name.
            name = str(problem["loc"][0]).upper() if problem["loc"] else ""
            given = f"{name}={os.environ[name]}: " if name in os.environ else f"{name}: " if name else ""
            print(f"{service}: {given}{problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        raise SystemExit(EX_CONFIG) from None
