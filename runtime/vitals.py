"""A process's signs of life, for programs and people that do not speak its protocol.

Gives: `Vitals`, which a service feeds about once a second. It keeps a file that is there and fresh while the service
is ready, and holds its figures as one JSON object; it tells systemd the same, where systemd asks (sd_notify(3)); and
it remembers both for probes. A service may be ready and yet be kept from its work, as by a full disk: it is not
started again for that, and the file and the probes say why.
Fails: a file that cannot be kept, or a systemd that does not listen, is logged once and ends nothing.
Limits: what is told here is up to a beat old. Where the file's own disk is full, it is written over in place.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from runtime import VERSION

log = logging.getLogger(__name__)

# What a service tells of itself: names to numbers, texts, or lists of such.
Figures: TypeAlias = Mapping[str, object]
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# A loop that has not turned for so long is stuck: five beats, as the health check of `deploy/compose.yaml` has it.
STUCK_SECONDS = 5.0


class Vitals:
    """The signs of life of this process."""

    def __init__(self, service: str, path: str = "", notify: str | None = None) -> None:
        """
        :param service: the service's name.
        :param path: the file to keep; `{host}` in it stands for this machine's name; empty: none.
        :param notify: systemd's socket; None: the one of the environment, where there is one.
        """
        self.service = service
        self.ready = False
        self.why_not = "it is starting"
        self.figures: Figures = {}
        self._began = time.time()
        # Before the first beat nothing is stuck: a start takes as long as its recovery.
        self._beaten = math.inf
        self._path = Path(path.replace("{host}", socket.gethostname())) if path else None
        self._systemd = os.environ.get("NOTIFY_SOCKET", "") if notify is None else notify
        self._complaint = ""

    @property
    def alive(self) -> bool:
        """Whether the loop that feeds this has turned lately. May be asked from another thread."""
        return time.monotonic() - self._beaten < STUCK_SECONDS

    def beat(self, ready: bool, figures: Figures | None = None, why_not: str = "", *, hindrance: str = "") -> None:
        """Call about once a second, from the loop that does the work.

        :param figures: what the service has to tell of itself now.
        :param why_not: why it is not ready, where it is not, in a few words.
        :param hindrance: what keeps it from its work though it is ready.
        """
        self._beaten = time.monotonic()
        self.figures = figures or {}
        self.why_not = hindrance if ready else why_not or "not ready"
        before, self.ready = self.ready, ready
        try:
            self._keep_file()
            self._tell_systemd("WATCHDOG=1", *(["READY=1"] if ready and not before else []))
        except OSError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("! the signs of life cannot be given: %s", error)  # noqa: TRY400

    def leave(self) -> None:
        """The service is about to end."""
        self.beat(False, self.figures, "it is stopping")
        try:
            self._tell_systemd("STOPPING=1")
        except OSError as error:
            log.debug("systemd was not told: %s", error)

    def _keep_file(self) -> None:
        if self._path is None:
            return
        if not self.ready:
            self._path.unlink(missing_ok=True)
            return
        told = {
            "service": self.service,
            "version": VERSION,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": round(self._began, 3),
            **({"why_not": self.why_not} if self.why_not else {}),
            **self.figures,
        }
        octets = json.dumps(told, ensure_ascii=False).encode() + b"\n"
        # Renamed into place: a reader never sees half.
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            beside.write_bytes(octets)
            beside.replace(self._path)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            beside.unlink(missing_ok=True)
            _write_over(self._path, octets)

    def _tell_systemd(self, *states: str) -> None:
        if not self._systemd:
            return
        # A name that begins with @ is of Linux's abstract namespace, which begins with a NUL octet (unix(7)).
        address = "\0" + self._systemd[1:] if self._systemd.startswith("@") else self._systemd
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_systemd:
            to_systemd.setblocking(False)
            to_systemd.sendto("\n".join(states).encode(), address)


def _write_over(path: Path, octets: bytes) -> None:
    """In the room that the file has already, which a full disk leaves it; blanks fill what was longer."""
    with path.open("r+b", buffering=0) as file:
        octets = octets.ljust(os.fstat(file.fileno()).st_size)
        if file.write(octets) < len(octets):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
