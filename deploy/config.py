"""The settings of a stack, from environment variables: `make up PORT=2525` sets PORT.

Gives: `StackSettings`, checked as far as a stack's own settings go, and what each service gets from it, with
`OwnedSettings` for a stack that ends with whoever started it. Settings that only a service knows (`PASSED_ON`) go
through as they are: that service checks them and names what is wrong.
Fails: `runtime.settings.load` prints one line per bad variable and ends the process with status 78.
"""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import math
import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from mail.address import AddressError, parse_domain
from runtime import counted
from runtime.settings import Settings

# The one table of settings (settings.toml), by name.
TABLE: Mapping[str, Mapping[str, object]] = tomllib.loads(
    Path(__file__).with_name("settings.toml").read_text("utf-8")
)
_MAX_PORT = 65535
# Variables of the Makefile itself, which may stand in the same command line.
OF_MAKE = frozenset({"PYTHON", "VENV", "ARGS"})
# What `make logs` takes beside RUN.
OF_LOGS = frozenset({"TAIL", "FOLLOW"})
# Of a number of lines: what has more is a typing error.
_DIGITS = 16
# A stop may take what the gateway grants to open transactions, and then the time to finish what is in hand.
_STOP_MARGIN_SECONDS = 5


def take_only(remembered: Mapping[str, str]) -> None:
    """Set these settings in the environment and no others: what a shell has now is not what a stack was started with.

    :param remembered: `StackSettings.remembered()` of that stack.
    """
    for name in [name for name in os.environ if name.upper() in TABLE]:
        del os.environ[name]
    os.environ.update(remembered)


def unknown(names: Iterable[str], besides: Collection[str] = OF_MAKE) -> list[str]:
    """A line for each name that is no setting of a stack, with the setting that it is like.

    :param names: as they were typed.
    :param besides: what may stand among them all the same.
    """
    lines = []
    for name in sorted(set(names) - set(TABLE) - set(besides)):
        like = difflib.get_close_matches(name.upper(), sorted(TABLE), 1)
        lines.append(f"{name}: there is no such setting" + (f"; did you mean {like[0]}?" if like else ""))
    return lines


def _absolute(path: Path) -> Path:
    """The path without `..`, but with its symbolic links: a link that is moved on later is followed then."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
# RUN is a stack's name: whichever way leads to the folder, it is the same stack.
RealPath = Annotated[Path, AfterValidator(Path.resolve)]


class RunSettings(Settings):
    """What `make down`, `status` and `logs` take: the rest is remembered in RUN."""

    # The folder of everything that a stack needs at run time; two stacks have two.
    run: RealPath = Field(default=Path("run"), validate_default=True)


class LogSettings(RunSettings):
    """What `make logs` takes."""

    # How many of the last lines of each service, as `docker logs --tail` has it.
    tail: str = "20"
    # Whether to go on as more come.
    follow: bool = True

    @field_validator("tail")
    @classmethod
    def _tail_is_a_number_or_all(cls, value: str) -> str:
        if value != "all" and not (value.isascii() and value.isdigit() and len(value) < _DIGITS):
            raise ValueError("must be how many of the last lines, or all")
        return value

    @property
    def last(self) -> int | None:
        """`tail` as a number; None: all."""
        return None if self.tail == "all" else int(self.tail)


class StackSettings(RunSettings):
    """What `make up` takes; the field `mailboxes` is the variable MAILBOXES."""

    # Whether it ends with the process that started it, however that ends.
    owned: ClassVar[bool] = False

    # Which of the two auto is, start.py decides when it starts (`_choose`).
    mode: Literal["auto", "docker", "processes"] = "auto"
    # The address and TCP port that clients connect to.
    bind: str = "127.0.0.1"
    port: int = Field(default=12000, ge=1, le=_MAX_PORT)
    users: AbsolutePath = Field(default=Path("users.txt"), validate_default=True)
    mailboxes: AbsolutePath = Field(default=Path("mailboxes"), validate_default=True)
    # Four workers fill the cores of a common machine; 64 is far beyond use and keeps a typing error from hurting.
    workers: int = Field(default=2, ge=1, le=64)
    # Prometheus' numbers: the gateway has this port, the store the next one, each worker one after it; 0: none.
    metrics_port: int = Field(default=0, ge=0, le=_MAX_PORT)
    domain: str = "correio.localhost"
    max_connections: int = Field(default=10_000, ge=1)
    shutdown_seconds: float = Field(default=30, ge=0, le=3600)
    # Failures on cue (session_worker/faults/rules.py): given as a file, or the rules themselves; held as rules.
    fault_rules: str = ""
    # The image that the services' images are made from; empty: the first that is at hand.
    base: str = ""

    @field_validator("fault_rules")
    @classmethod
    def _fault_rules_of_a_file(cls, value: str) -> str:
        """The rules themselves: the services see neither the file nor this folder."""
        if not value or value.startswith(("at ", "#")):
            return value
        try:
            lines = Path(value).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"must be a file of rules, or rules: {error}") from None
        return "; ".join(filter(None, (line.partition("#")[0].strip() for line in lines)))

    @field_validator("metrics_port")
    @classmethod
    def _metrics_ports_are_free_for_it(cls, value: int, info: ValidationInfo) -> int:
        # Settings that are wrong themselves are not in `data`.
        port, workers = info.data.get("port", 0), info.data.get("workers", 1)
        last = value + 1 + workers
        if value and last > _MAX_PORT:
            raise ValueError(
                f"must be {_MAX_PORT - 1 - workers} at most: with {counted(workers, 'worker')} it takes {last} too"
            )
        if value and value <= port <= last:
            raise ValueError(
                f"takes the ports {value} to {last} with {counted(workers, 'worker')}, and PORT={port} is one of them"
            )
        return value

    @field_validator("bind")
    @classmethod
    def _bind_is_an_address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError("must be an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for all") from None

    @field_validator("domain")
    @classmethod
    def _domain_is_one(cls, value: str) -> str:
        try:
            return parse_domain(value)
        except AddressError as error:
            raise ValueError(f"must be a domain name such as correio.localhost: {error}") from None

    @property
    def stop_seconds(self) -> int:
        """How long one service may take to stop before it is killed."""
        return math.ceil(self.shutdown_seconds) + _STOP_MARGIN_SECONDS

    @property
    def connect_host(self) -> str:
        """The address at which this machine itself reaches BIND."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)  # noqa: S104 - compared, not bound

    def typed(self, name: str, value: str) -> str:
        """How this setting is typed, for who is told to give it another value."""
        return f"make up {name}={value}"

    @property
    def project(self) -> str:
        """A name for containers and networks that no other stack on this machine has: by RUN and PORT."""
        return f"correio-{self.port}-{hashlib.sha256(os.fsencode(self.run)).hexdigest()[:8]}"

    def for_services(self) -> dict[str, str]:
        """The variables that every service gets in both modes; paths and endpoints come from the mode."""
        passed = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
        return (
            passed
            | ({"FAULT_RULES": self.fault_rules} if self.fault_rules else {})
            | {
                "DOMAIN": self.domain,
                "MAX_CONNECTIONS": str(self.max_connections),
                "SHUTDOWN_SECONDS": f"{self.shutdown_seconds:g}",
                "LOG_LEVEL": self.log_level,
                "LOG_FORMAT": self.log_format,
            }
        )

    def remembered(self) -> dict[str, str]:
        """All that makes this stack differ from another one, for comparison with what a later `make up` asks for."""
        return self.for_services() | {
            "BIND": self.bind,
            "PORT": str(self.port),
            "USERS": str(self.users),
            "MAILBOXES": str(self.mailboxes),
            "WORKERS": str(self.workers),
            **({"METRICS_PORT": str(self.metrics_port)} if self.metrics_port else {}),
            **({"BASE": self.base} if self.base else {}),
        }


class OwnedSettings(StackSettings):
    """What `correio serve` takes, and whoever else has a stack of its own: one of processes, for these end so."""

    owned: ClassVar[bool] = True

    def typed(self, name: str, value: str) -> str:
        return f"--{name.lower().replace('_', '-')} {value}"


# Settings of the services that this tool does not look into; unset ones are not set, so the service's default counts.
PASSED_ON = tuple(name for name in TABLE if name.lower() not in StackSettings.model_fields)
