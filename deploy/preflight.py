"""What can be seen to be wrong before anything is started: one line, and nothing is half-started.

Each check raises `DeployError`. They are a courtesy and no guard: the services check for themselves what they need.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from deploy.config import StackSettings
from deploy.run_folder import LOOPBACK
from deploy.telling import EX_CONFIG, DeployError

# Linux: the first port that needs no privilege, ip(7).
_UNPRIVILEGED_START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def check_users(settings: StackSettings) -> None:
    """The users file is there and is a file; what its lines hold is the store's to judge."""
    users = settings.users
    if users.is_dir():
        raise DeployError(f"USERS={users}: is a folder; it must be a file with one address a line", EX_CONFIG)
    if not users.exists():
        raise DeployError(f"USERS={users}: there is no such file; it must hold one address a line", EX_CONFIG)
    if not os.access(users, os.R_OK):
        raise DeployError(f"USERS={users}: cannot be read: permission denied", EX_CONFIG)


def check_port(settings: StackSettings, privileged: bool) -> None:
    """Nobody listens on BIND and PORT, and the one who will may do so.

    :param privileged: the listener will be root, or an engine that is.
    """
    other = settings.typed("PORT", "2525")
    _check(settings, settings.bind, settings.port, f"PORT={settings.port}: ", other, privileged)


def check_metrics_ports(settings: StackSettings, ports: Iterable[int], privileged: bool) -> None:
    """The same for the ports of METRICS_PORT, on this machine's own address."""
    for port in ports:
        which = "" if port == settings.metrics_port else f"port {port} of it: "
        named = f"METRICS_PORT={settings.metrics_port}: {which}"
        _check(settings, LOOPBACK, port, named, settings.typed("METRICS_PORT", "9220"), privileged)


def _check(settings: StackSettings, bind: str, port: int, named: str, other: str, privileged: bool) -> None:
    if not privileged and port < _unprivileged_start():
        needs = "root" if settings.owned else "MODE=docker or root"
        raise DeployError(f"{named}a port below {_unprivileged_start()} needs {needs}", EX_CONFIG)
    address = ipaddress.ip_address(bind)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier stack that linger in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise DeployError(f"{named}in use on {bind}; try: {other}") from None
            if error.errno == errno.EADDRNOTAVAIL:
                raise DeployError(f"BIND={bind}: is not an address of this machine", EX_CONFIG) from None
            if error.errno != errno.EACCES or not privileged:
                raise DeployError(f"{named}cannot listen on {bind}: {error.strerror}") from None


def _unprivileged_start() -> int:
    try:
        return int(_UNPRIVILEGED_START.read_text())
    except (OSError, ValueError):
        return 1024  # the rule of every Unix that has no such setting
