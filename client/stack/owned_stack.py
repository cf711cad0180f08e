"""A stack of one's own: the services of one RUN folder, kept by a supervisor, for as long as this process lives.

It is started by the same code as `make up MODE=processes` (deploy/), as a process of its own, for this package knows
nothing of that code but where it lies.

Gives: `OwnedStack`, with `start`, `ended`, `finish` and `stop`; `table`, the settings that it takes.
Fails: `StackError` in words for a person, with an exit status: the services' libraries are not installed, a setting
is wrong, a service has ended. Then nothing is left running.
Limits: when this process is killed, the services end in order all the same, and what RUN remembers stays until the
next start.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# What the services and their supervisor import; the extra `stack` brings them.
_LIBRARIES = ("zmq", "msgpack", "msgspec", "uvloop", "pydantic_settings", "prometheus_client", "supervisor")
_PARTS = ("mailbox_store", "session_worker", "gateway", "deploy")
_EX_FAILED = 1
# An interrupted start ends what it has started: half a second for that, and as long for a busy machine to do it in.
_INTERRUPTED_SECONDS = 10.0


class StackError(Exception):
    """The stack cannot be started.

    :param status: what a program that gives up because of it exits with.
    """

    def __init__(self, text: str, status: int = _EX_FAILED) -> None:
        super().__init__(text)
        self.status = status


def services_folder() -> Path:
    """Where the services' packages are: beside this file once installed, else in the checkout.

    :raises StackError: they are in neither.
    """
    here = Path(__file__).resolve().parent.parent
    for folder in (here / "_stack", here.parent):
        if all((folder / part / "__main__.py").is_file() for part in _PARTS):
            return folder
    raise StackError(f"the services are not where they are installed, {here / '_stack'}: install correio again")


def table() -> dict[str, dict[str, Any]]:
    """The settings of a stack: of each name its default and what it is.

    :raises StackError: there are no services here.
    """
    return tomllib.loads((services_folder() / "deploy" / "settings.toml").read_text("utf-8"))


class OwnedStack:
    """One gateway, one store and some workers.

    :param run: the folder of all that they need at run time; it may be there already.
    :param environment: their settings, and the variables that a program needs.
    :param given: which of these somebody chose by name: such a one that is no setting is refused.
    """

    def __init__(self, run: Path, environment: Mapping[str, str], given: Collection[str] = ()) -> None:
        self.run = run
        self._environment = dict(environment) | {
            "RUN": str(run),
            "MODE": "processes",
            "CORREIO_GIVEN": " ".join(given),
        }
        # The stack lives while this process has one end, and its supervisor has the other: each sees the other go.
        self._lifeline: socket.socket | None = None

    def start(self) -> None:
        """Return when mail is taken.

        :raises StackError: it cannot be; nothing is left running.
        """
        missing = [name for name in _LIBRARIES if find_spec(name) is None]
        if missing:
            raise StackError(f"the server needs {', '.join(missing)}: in correio's checkout, pip install '.[stack]'")
        self._lifeline, theirs = socket.socketpair()
        with theirs:
            try:
                self._deploy("serve", stdin=theirs.fileno())
            except BaseException:
                self.let_go()
                raise

    def ended(self, seconds: float | None = 0.0) -> bool:
        """Whether the supervisor has ended, and with it the stack.

        :param seconds: how long to wait for that; None: as long as it takes.
        """
        if self._lifeline is None:
            return True
        poll = select.poll()
        poll.register(self._lifeline, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def finish(self, seconds: float | None = None) -> bool:
        """Have it end as it does when this process ends: the gateway first, so that mails under way can end before.

        :param seconds: how long to wait for that; None: as long as it takes.
        :returns: whether it has ended. What RUN remembers of it stays.
        """
        if self._lifeline is not None:
            self._lifeline.shutdown(socket.SHUT_WR)
        return self.ended(seconds)

    def stop(self) -> None:
        """End at once what has not ended, and tidy RUN.

        :raises StackError: something cannot be ended.
        """
        self._deploy("down", "--at-once")
        self.let_go()

    def let_go(self) -> None:
        """Nothing is to be done with it any more; what of it has not ended does so by itself, in order."""
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None

    def _deploy(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> None:
        services = services_folder()
        search = [str(services), *filter(None, self._environment.get("PYTHONPATH", "").split(os.pathsep))]
        with subprocess.Popen(
            # -P: a folder that a program runs in is none of modules.
            [sys.executable, "-P", "-m", "deploy", *arguments],
            env=self._environment | {"PYTHONPATH": os.pathsep.join(search)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for this program, which then stops the stack in order
        ) as tool:
            try:
                _, said = tool.communicate()
            except BaseException:
                tool.terminate()
                try:
                    tool.communicate(timeout=_INTERRUPTED_SECONDS)
                except subprocess.TimeoutExpired:
                    tool.kill()
                raise
        if tool.returncode:
            raise StackError(
                said.strip() or f"deploy {arguments[0]} has ended with {tool.returncode}", tool.returncode
            )
