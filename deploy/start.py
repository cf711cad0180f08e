"""A stack's start: `make up`, whichever way it runs, until it takes mail.

Gives: `up`; `Mode`, one way to run a stack, and `mode_of`; the waiting until mail is taken, and `why_no_mail`, which
asks; `run_argument`, which names RUN to make.
Fails: `DeployError`, and then nothing that `up` started is left running.
"""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from deploy import engine, owner, preflight, run_folder, supervisord
from deploy.config import StackSettings
from deploy.docker import Containers
from deploy.processes import Processes
from deploy.run_folder import Remembered, Target
from deploy.telling import EX_CONFIG, EX_FAILED, DeployError, Say, ServiceFailed, StackPart, Trouble
from mail import asking

# From the start of the services to the first mail taken: seconds on a slow machine, after which something is wrong.
_READY_SECONDS = 60.0
# While it starts: how long a service that has ended may stay unnoticed. In the first seconds that is not long, for a
# service that does not like its settings says so at once, and whoever has typed `make up` is to read it then.
_FIRST_SECONDS = 5.0
_FIRST_ASKED_SECONDS = 0.3
_NEXT_ASKED_SECONDS = 2.0
# The store gives a sign each second; where it cannot, as its folder is not to be written, that is not waited for.
_SIGN_SECONDS = 3.0
_POLL_SECONDS = 0.1
_LAST_LINES = 5


class Mode(Protocol):
    """One way to run a stack: as containers or as processes."""

    def prepare(self, settings: StackSettings) -> Remembered:
        """Make the folders it needs; what is returned is enough to stop whatever `start` gets done."""

    def start(self, settings: StackSettings, remembered: Remembered) -> None:
        """Start every service; return without waiting until they are ready."""

    def stop(self, remembered: Remembered | None) -> None:
        """Stop every service, in order, and leave nothing. None: what was started is not known, look for it."""

    def abandon(self, remembered: Remembered) -> None:
        """Stop every service at once: nobody is waited for."""

    def restart(self, settings: StackSettings, remembered: Remembered, service: str) -> None:
        """Restart the processes of one service, so that clients lose nothing but time; return when they are ready."""

    def targets(self, settings: StackSettings, remembered: Remembered, /) -> list[Target]:
        """Where each process tells its numbers; none without METRICS_PORT."""

    def services(self, remembered: Remembered) -> list[StackPart]:
        """Each part and how it is; none at all means that the stack is not running."""

    def trouble(self, remembered: Remembered) -> Trouble | None:
        """A part that ended while the stack was to start."""

    def last_lines(self, remembered: Remembered, /, count: int) -> str:
        """The last lines of each service's log."""

    def history(self, remembered: Remembered, /) -> list[Iterator[bytes]]:
        """All that each service has logged and that is still there, a line at a time."""

    def follow(self, remembered: Remembered, /, tail: int | None) -> tuple[list[str], dict[str, str]]:
        """The command that shows the logs as they grow, and its environment.

        :param tail: how many lines of each it begins with; None: all.
        """


def up(settings: StackSettings, say: Say) -> int:
    """Start the stack, and return when it takes mail. Harmless when it already does."""
    kind, why = _choose(settings)
    person = owner.caller()
    if kind == "processes":
        owner.become(person)
    owner.make_folder(settings.run, person, "RUN")
    owner.refuse_open_to_all(settings.run, "RUN")
    with run_folder.exclusive(settings.run, person):
        before = run_folder.load(settings.run)
        if before is not None:
            services = mode_of(before.mode, settings.run, say).services(before)
            if any(each.running for each in services):
                return _already(before, services, kind, settings, say)
            stop(settings.run, before, say)
        elif kind == "processes":
            supervisord.end_processes(settings.run, settings.stop_seconds)
        preflight.check_users(settings)
        preflight.check_port(settings, privileged=kind == "docker" or os.geteuid() == 0)
        if kind == "processes":
            targets = run_folder.targets_of_processes(settings.metrics_port, settings.workers)
            ports = [target.port for target in targets]
            preflight.check_metrics_ports(settings, ports, privileged=os.geteuid() == 0)
        owner.make_folder(settings.mailboxes, person, "MAILBOXES", mode=0o700)
        say(f"starting the stack with MODE={kind}: {why}")
        _start(mode_of(kind, settings.run, say), settings, person)
    say(what_next(settings))
    return 0


def _choose(settings: StackSettings) -> tuple[str, str]:
    """How the services are to run, and why so."""
    if settings.owned or settings.mode == "processes":
        return "processes", "as asked for"
    reason = engine.why_not()
    if settings.mode == "docker":
        if reason is not None:
            raise DeployError(f"MODE=docker: {reason}; MODE=processes needs none", EX_CONFIG)
        return settings.mode, "as asked for"
    return ("docker", "a Docker engine answers") if reason is None else ("processes", reason)


def mode_of(kind: str, run: Path, say: Say) -> Mode:
    return Containers(run, owner.caller(), say) if kind == "docker" else Processes(run, say)


def _already(before: Remembered, services: list[StackPart], kind: str, settings: StackSettings, say: Say) -> int:
    """What runs is what is asked for, or the person is told how it differs; whose it is, an owned one is another."""
    if settings.owned:
        raise DeployError(
            f"RUN={settings.run}: a stack runs there already, on {before.host} port {before.port}; stop it first, or "
            f"have one beside it: {settings.typed('RUN', 'run2')} {settings.typed('MAILBOXES', 'mailboxes2')} "
            f"{settings.typed('PORT', '2525')}"
        )
    asked = settings.remembered()
    if settings.mode == "auto":
        kind = before.mode
    differing = run_folder.differences(before.settings | {"MODE": before.mode}, asked | {"MODE": kind})
    if differing:
        raise DeployError(
            f"runs with other settings: {'; '.join(differing)}; first: make down{run_argument(settings.run)}"
            "; or, for a stack beside it, another RUN and MAILBOXES"
        )
    down = [f"{each.name} is {each.state}" for each in services if not each.running]
    if down:
        raise DeployError(f"already running, but {'; '.join(down)}")
    if why := run_folder.hindrance(settings.run):
        raise DeployError(f"already running, but the stack takes no mail: {why}")
    say(f"already running on {settings.bind} port {settings.port} with MODE={kind}; make status tells more")
    return 0


def _start(mode: Mode, settings: StackSettings, person: owner.Owner) -> None:
    """Start it and wait until it takes mail; whatever goes wrong, Ctrl-C included, nothing is left."""
    remembered = mode.prepare(settings)
    # Before the start: a tool that is killed in the middle of it leaves what `make down` needs.
    run_folder.save(settings.run, remembered, person)
    try:
        mode.start(settings, remembered)
        wait_until_it_takes_mail(mode, settings.run, remembered)
        run_folder.save_targets(settings.run, mode.targets(settings, remembered), person)
    except BaseException:
        abandon(mode, settings.run, remembered)
        raise


def abandon(mode: Mode, run: Path, remembered: Remembered) -> None:
    mode.abandon(remembered)
    run_folder.forget_targets(run)
    run_folder.forget(run)


def stop(run: Path, before: Remembered | None, say: Say) -> None:
    run_folder.forget_targets(run)
    mode_of(before.mode if before else "processes", run, say).stop(before)
    run_folder.forget(run)


def why_no_mail(host: str, port: int, seconds: float) -> str:
    """Why nobody takes mail there, asked as a client would; "" where mail is taken.

    :param seconds: to wait for the connection, and for each reply.
    """
    try:
        with socket.create_connection((host, port), seconds) as connection, connection.makefile("rb") as replies:
            return asking.why_not(asking.over(connection.sendall, replies))
    except OSError as error:
        return f"{host} port {port}: {error.strerror or error}"


def wait_until_it_takes_mail(mode: Mode, run: Path, remembered: Remembered) -> None:
    began = time.monotonic()
    while True:
        trouble = mode.trouble(remembered)
        if trouble is not None:
            # A service that cannot start says one line, which is all there is to say.
            raise ServiceFailed(trouble.line or trouble.what, EX_CONFIG if trouble.status == EX_CONFIG else EX_FAILED)
        waited = time.monotonic() - began
        patience = _FIRST_ASKED_SECONDS if waited < _FIRST_SECONDS else _NEXT_ASKED_SECONDS
        reason = why_no_mail(remembered.host, remembered.port, patience)
        if not reason:
            return _refuse_a_full_disk(run)
        if waited > _READY_SECONDS:
            raise DeployError(
                f"the stack takes no mail after {_READY_SECONDS:.0f} s: {reason}",
                details=mode.last_lines(remembered, _LAST_LINES),
            )
        time.sleep(_POLL_SECONDS)


def _refuse_a_full_disk(run: Path) -> None:
    """It answers; but whether a message would find room only the store knows, which says so in its next beat."""
    began = time.monotonic()
    while (why := run_folder.hindrance(run)) is None and time.monotonic() - began < _SIGN_SECONDS:
        time.sleep(_POLL_SECONDS)
    if why:
        raise DeployError(f"the stack takes no mail: {why}")


def run_argument(run: Path) -> str:
    """For a command line of make, which a shell reads first: quotes are for the shell, and make's `$` is `$$`."""
    return "" if run == Path("run").resolve() else f" RUN={shlex.quote(str(run).replace('$', '$$'))}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def what_next(settings: StackSettings) -> str:
    """Where it takes mail, and a line for each command that is of use now."""
    mailbox = _quoted(settings.mailboxes / "ADDRESS.txt")
    run = run_argument(settings.run)
    # The client finds the rest in RUN.
    here = f" --run {_quoted(settings.run)}" if run else ""
    commands = {
        f"nc {settings.connect_host} {settings.port}": "speak SMTP by hand",
        f".venv/bin/correio{here}": "the same with our client",
        f".venv/bin/correio read ADDRESS{here}": f"read a mailbox; or: cat {mailbox}",
        f".venv/bin/correio watch{here}": "watch the conversations",
        f"make logs{run}": "follow the logs",
        f"make down{run}": "stop it",
    }
    if settings.metrics_port:
        listed = _quoted(settings.run / run_folder.TARGETS)
        commands[f"cat {listed}"] = "where Prometheus finds the numbers (deploy/prometheus/)"
    width = max(map(len, commands))
    lines = [f"  {command:{width}}   {meaning}" for command, meaning in commands.items()]
    return "\n".join([f"Correio takes mail on {settings.bind} port {settings.port}. What to type next:", *lines])
