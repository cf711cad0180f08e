"""A stack's life: up, down, status, logs, whichever way it runs.

Gives: one function for each command; each returns the tool's exit status.
Fails: `DeployError`, and then nothing that `up` started is left running.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from deploy import engine, history, leftovers, owner, preflight, signs, smoke, state, targets
from deploy.config import LogSettings, StackSettings, take_only
from deploy.docker import Containers
from deploy.errors import EX_CONFIG, EX_FAILED, DeployError, ServiceFailed
from deploy.images import Say
from deploy.next_steps import run_argument, what_next
from deploy.processes import Processes
from deploy.service import Service, Trouble
from deploy.state import Remembered
from deploy.targets import Target
from runtime.settings import load

# LSB init scripts: the status of `status` when the program is not running.
EX_NOT_RUNNING = 3
# From the start of the services to the first mail taken: seconds on a slow machine, after which something is wrong.
_READY_SECONDS = 60.0
_SMOKE_SECONDS = 5.0
# While it starts: how long a service that has ended may stay unnoticed. In the first seconds that is not long, for a
# service that does not like its settings says so at once, and whoever has typed `make up` is to read it then.
_FIRST_SECONDS = 5.0
_FIRST_SMOKE_SECONDS = 0.3
_NEXT_SMOKE_SECONDS = 2.0
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

    def services(self, remembered: Remembered) -> list[Service]:
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
    with state.exclusive(settings.run, person):
        before = state.load(settings.run)
        if before is not None:
            services = _mode(before.mode, settings.run, say).services(before)
            if any(each.running for each in services):
                return _already(before, services, kind, settings, say)
            _stop(settings.run, before, say)
        elif kind == "processes":
            leftovers.stop(settings.run, settings.stop_seconds)
        preflight.check_users(settings)
        preflight.check_port(settings, privileged=kind == "docker" or os.geteuid() == 0)
        if kind == "processes":
            ports = [target.port for target in targets.of_processes(settings.metrics_port, settings.workers)]
            preflight.check_metrics_ports(settings, ports, privileged=os.geteuid() == 0)
        owner.make_folder(settings.mailboxes, person, "MAILBOXES", mode=0o700)
        say(f"starting the stack with MODE={kind}: {why}")
        _start(_mode(kind, settings.run, say), settings, person)
    say(what_next(settings))
    return 0


def down(run: Path, say: Say, *, at_once: bool = False) -> int:
    """Stop the stack of this RUN folder; harmless when there is none.

    :param at_once: open transactions are not waited for; whoever has no 250 yet tries again.
    """
    if not run.is_dir():
        say(f"nothing runs: there is no folder RUN={run}")
        return 0
    with state.exclusive(run, owner.caller()):
        before = state.load(run)
        if before is None and not leftovers.find(run):
            say(f"nothing runs in RUN={run}")
            return 0
        if before and at_once:
            _abandon(_mode(before.mode, run, say), run, before)
        else:
            _stop(run, before, say)
    say("stopped")
    return 0


def restart(run: Path, service: str, say: Say) -> int:
    """Restart one tier of the running stack, with the settings that it was started with."""
    remembered = state.load(run)
    if remembered is None:
        raise DeployError(f"not running (RUN={run})", EX_NOT_RUNNING)
    take_only(remembered.settings | {"RUN": str(run)})
    settings = load(StackSettings, f"restart {service}")
    with state.exclusive(run, owner.caller()):
        mode = _mode(remembered.mode, run, say)
        mode.restart(settings, remembered, service)
        targets.save(run, mode.targets(settings, remembered), owner.caller())
        _wait_until_it_takes_mail(mode, run, remembered)
    say(f"{service} restarted; mail is taken")
    return 0


def status(run: Path, say: Say) -> int:
    """Show each service's state, and whether mail is taken. 0 where all is well, 3 where nothing runs, else 1."""
    remembered = state.load(run)
    services = _mode(remembered.mode, run, say).services(remembered) if remembered else []
    if remembered is None or not services:
        return _status_without_supervisor(run, remembered, say)
    width = max(len(each.name) for each in services)
    for each in services:
        say(f"{each.name:{width}}  {each.state}")
    taken = _tell_whether_mail_is_taken(run, remembered, say)
    return 0 if taken and all(each.running for each in services) else EX_FAILED


def _status_without_supervisor(run: Path, remembered: Remembered | None, say: Say) -> int:
    """Where no service is told of, there may be some all the same: their supervisord has died, or does not answer."""
    by_processes = remembered is None or remembered.mode == "processes"
    pids = leftovers.find(run) if by_processes else []
    if not pids:
        say(f"not running (RUN={run})")
        if remembered and smoke.why_not(remembered.host, remembered.port, _SMOKE_SECONDS) is None:
            say(f"but someone takes mail on {remembered.host} port {remembered.port}")
        return EX_NOT_RUNNING
    listed = ", ".join(map(str, sorted(pids)))
    say(f"supervisord does not answer, but processes of this stack are there: pids {listed}")
    if remembered:
        _tell_whether_mail_is_taken(run, remembered, say)
    say(f"what dies is not started again; make down{run_argument(run)} ends them, make up starts anew")
    return EX_FAILED


def _tell_whether_mail_is_taken(run: Path, remembered: Remembered, say: Say) -> bool:
    reason = smoke.why_not(remembered.host, remembered.port, _SMOKE_SECONDS) or signs.why_no_mail(run) or None
    say(f"takes mail on {remembered.host} port {remembered.port}" if reason is None else f"takes no mail: {reason}")
    return reason is None


def logs(settings: LogSettings, say: Say) -> int:
    """Show the logs: become the command that shows them as they grow, or show what there is and return."""
    run = settings.run
    remembered = state.load(run)
    if remembered is None and (settings.follow or not (run / "logs").is_dir()):
        there = "; what it said is in RUN/logs: make logs FOLLOW=no TAIL=all" if (run / "logs").is_dir() else ""
        raise DeployError(f"not running (RUN={run}){there}", EX_NOT_RUNNING)
    mode = _mode(remembered.mode if remembered else "processes", run, say)
    if remembered is None or not settings.follow:
        services = mode.history(remembered) if remembered else history.of_folder(run / "logs")
        history.show(history.merged(history.last(settings.last, services)))
        return 0
    command, environment = mode.follow(remembered, settings.last)
    return os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is wanted


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


def _mode(kind: str, run: Path, say: Say) -> Mode:
    return Containers(run, owner.caller(), say) if kind == "docker" else Processes(run, say)


def _already(before: Remembered, services: list[Service], kind: str, settings: StackSettings, say: Say) -> int:
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
    differing = state.differences(before.settings | {"MODE": before.mode}, asked | {"MODE": kind})
    if differing:
        raise DeployError(
            f"runs with other settings: {'; '.join(differing)}; first: make down{run_argument(settings.run)}"
            "; or, for a stack beside it, another RUN and MAILBOXES"
        )
    down = [f"{each.name} is {each.state}" for each in services if not each.running]
    if down:
        raise DeployError(f"already running, but {'; '.join(down)}")
    if why := signs.why_no_mail(settings.run):
        raise DeployError(f"already running, but the stack takes no mail: {why}")
    say(f"already running on {settings.bind} port {settings.port} with MODE={kind}; make status tells more")
    return 0


def _start(mode: Mode, settings: StackSettings, person: owner.Owner) -> None:
    """Start it and wait until it takes mail; whatever goes wrong, Ctrl-C included, nothing is left."""
    remembered = mode.prepare(settings)
    # Before the start: a tool that is killed in the middle of it leaves what `make down` needs.
    state.save(settings.run, remembered, person)
    try:
        mode.start(settings, remembered)
        _wait_until_it_takes_mail(mode, settings.run, remembered)
        targets.save(settings.run, mode.targets(settings, remembered), person)
    except BaseException:
        _abandon(mode, settings.run, remembered)
        raise


def _abandon(mode: Mode, run: Path, remembered: Remembered) -> None:
    mode.abandon(remembered)
    targets.forget(run)
    state.forget(run)


def _wait_until_it_takes_mail(mode: Mode, run: Path, remembered: Remembered) -> None:
    began = time.monotonic()
    while True:
        trouble = mode.trouble(remembered)
        if trouble is not None:
            # A service that cannot start says one line, which is all there is to say.
            raise ServiceFailed(trouble.line or trouble.what, EX_CONFIG if trouble.status == EX_CONFIG else EX_FAILED)
        waited = time.monotonic() - began
        patience = _FIRST_SMOKE_SECONDS if waited < _FIRST_SECONDS else _NEXT_SMOKE_SECONDS
        reason = smoke.why_not(remembered.host, remembered.port, patience)
        if reason is None:
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
    while (why := signs.why_no_mail(run)) is None and time.monotonic() - began < _SIGN_SECONDS:
        time.sleep(_POLL_SECONDS)
    if why:
        raise DeployError(f"the stack takes no mail: {why}")


def _stop(run: Path, before: Remembered | None, say: Say) -> None:
    targets.forget(run)
    _mode(before.mode if before else "processes", run, say).stop(before)
    state.forget(run)
