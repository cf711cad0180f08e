"""What is done with a stack that was started, whichever way it runs: down, restart, status, logs.

Gives: one function for each command; each returns the tool's exit status. Fails: `DeployError`.
"""

from __future__ import annotations

import os
from pathlib import Path

from deploy import history, owner, run_folder, supervisord
from deploy.config import LogSettings, StackSettings, take_only
from deploy.run_folder import Remembered
from deploy.start import abandon, mode_of, run_argument, stop, wait_until_it_takes_mail, why_no_mail
from deploy.telling import EX_FAILED, DeployError, Say
from runtime.settings import load

# LSB init scripts: the status of `status` when the program is not running.
EX_NOT_RUNNING = 3
_ASKED_SECONDS = 5.0


def down(run: Path, say: Say, *, at_once: bool = False) -> int:
    """Stop the stack of this RUN folder; harmless when there is none.

    :param at_once: open transactions are not waited for; whoever has no 250 yet tries again.
    """
    if not run.is_dir():
        say(f"nothing runs: there is no folder RUN={run}")
        return 0
    with run_folder.exclusive(run, owner.caller()):
        before = run_folder.load(run)
        if before is None and not supervisord.processes_of(run):
            say(f"nothing runs in RUN={run}")
            return 0
        if before and at_once:
            abandon(mode_of(before.mode, run, say), run, before)
        else:
            stop(run, before, say)
    say("stopped")
    return 0


def restart(run: Path, service: str, say: Say) -> int:
    """Restart one tier of the running stack, with the settings that it was started with."""
    remembered = run_folder.load(run)
    if remembered is None:
        raise DeployError(f"not running (RUN={run})", EX_NOT_RUNNING)
    take_only(remembered.settings | {"RUN": str(run)})
    settings = load(StackSettings, f"restart {service}")
    with run_folder.exclusive(run, owner.caller()):
        mode = mode_of(remembered.mode, run, say)
        mode.restart(settings, remembered, service)
        run_folder.save_targets(run, mode.targets(settings, remembered), owner.caller())
        wait_until_it_takes_mail(mode, run, remembered)
    say(f"{service} restarted; mail is taken")
    return 0


def status(run: Path, say: Say) -> int:
    """Show each service's state, and whether mail is taken. 0 where all is well, 3 where nothing runs, else 1."""
    remembered = run_folder.load(run)
    services = mode_of(remembered.mode, run, say).services(remembered) if remembered else []
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
    pids = supervisord.processes_of(run) if by_processes else []
    if not pids:
        say(f"not running (RUN={run})")
        if remembered and not why_no_mail(remembered.host, remembered.port, _ASKED_SECONDS):
            say(f"but someone takes mail on {remembered.host} port {remembered.port}")
        return EX_NOT_RUNNING
    listed = ", ".join(map(str, sorted(pids)))
    say(f"supervisord does not answer, but processes of this stack are there: pids {listed}")
    if remembered:
        _tell_whether_mail_is_taken(run, remembered, say)
    say(f"what dies is not started again; make down{run_argument(run)} ends them, make up starts anew")
    return EX_FAILED


def _tell_whether_mail_is_taken(run: Path, remembered: Remembered, say: Say) -> bool:
    reason = why_no_mail(remembered.host, remembered.port, _ASKED_SECONDS) or run_folder.hindrance(run)
    say(f"takes mail on {remembered.host} port {remembered.port}" if not reason else f"takes no mail: {reason}")
    return not reason


def logs(settings: LogSettings, say: Say) -> int:
    """Show the logs: become the command that shows them as they grow, or show what there is and return."""
    run = settings.run
    remembered = run_folder.load(run)
    if remembered is None and (settings.follow or not (run / "logs").is_dir()):
        there = "; what it said is in RUN/logs: make logs FOLLOW=no TAIL=all" if (run / "logs").is_dir() else ""
        raise DeployError(f"not running (RUN={run}){there}", EX_NOT_RUNNING)
    mode = mode_of(remembered.mode if remembered else "processes", run, say)
    if remembered is None or not settings.follow:
        services = mode.history(remembered) if remembered else history.of_folder(run / "logs")
        history.show(history.merged(history.last(settings.last, services)))
        return 0
    command, environment = mode.follow(remembered, settings.last)
    return os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is wanted
