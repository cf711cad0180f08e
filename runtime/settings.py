"""Settings come from environment variables, are checked once at start, and never change while a service runs.

Each service has a `config.py` with a subclass of `Settings`. The README's table lists every variable.
"""

from __future__ import annotations

import os
import sys
from typing import Literal, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.logs import Form

# sysexits.h EX_CONFIG: supervisors and people can tell a bad setting from a crash.
EX_CONFIG = 78


class Settings(BaseSettings):
    """What every service takes from its environment; the field `log_level` is the variable LOG_LEVEL."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # How log lines look: for people, or a JSON object each for programs.
    log_format: Form = "human"
    # A file that is written every second while the service is ready, with its figures; empty: none. `{host}` in it is
    # this machine's name. Health checks look at its age.
    ready_file: str = ""


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
