"""The gateway's settings, each an environment variable of the same name in capitals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from mail.address import AddressError, parse_domain
from runtime.settings import Settings

# sockaddr_un.sun_path on Linux holds 108 octets with the closing NUL (unix(7)).
_MAX_SOCKET_PATH = 107

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class GatewaySettings(Settings):
    """What the gateway takes from its environment; times are in seconds and may have fractions."""

    # Where clients connect. Port 0 lets the system choose one.
    bind: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 12000
    # The server's own name, said in the replies that the gateway makes by itself.
    domain: str = "correio.localhost"
    # Where workers connect.
    gateway_endpoint: str = "tcp://127.0.0.1:12001"
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    # 0: no cap of its own.
    max_connections_per_address: Annotated[int, Field(ge=0)] = 0
    # RFC 5321 section 4.5.3.2.7: a server waits for the next command at least 5 minutes.
    idle_seconds: Seconds = 300
    # How long a step waits for a worker before its client is told to come back later.
    no_worker_seconds: Seconds = 30
    # How long a shutdown lets transactions go on.
    shutdown_seconds: Seconds = 30
    # A folder for steps that killed three workers; empty: they are only logged.
    poison_dir: str = ""
    # Whether conversations are told on the log.
    conversation: Literal["on", "off"] = "on"

    # Where whoever watches the conversations connects (wire/SPEC.md, "The feed"); empty: there is no feed.
    feed_endpoint: str = ""

    @field_validator("domain")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        try:
            domain = parse_domain(value)
        except AddressError as error:
            raise ValueError(str(error)) from None
        if not domain.isascii():
            raise ValueError("must be ASCII: it is said before a client can ask for UTF-8")
        return domain

    @field_validator("gateway_endpoint", "feed_endpoint")
    @classmethod
    def _is_endpoint(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name == "feed_endpoint":
            return value
        scheme, _, rest = value.partition("://")
        if scheme not in ("tcp", "ipc") or not rest:
            raise ValueError("must be tcp://address:port or ipc:///path of a socket")
        if scheme == "ipc" and len(rest.encode()) > _MAX_SOCKET_PATH:
            raise ValueError(
                f"the path of a socket has at most {_MAX_SOCKET_PATH} octets, this has {len(rest.encode())}"
            )
        return value
