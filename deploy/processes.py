"""The stack as plain processes under supervisord, all of them the user's.

Gives: `Processes`, one of the two ways to run a stack (see `start.Mode`).
Fails: `DeployError` with the line of the service that did not start, or with what kept supervisord from starting.
Limits: processes that outlive their supervisord are found where there is a /proc.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy import history, run_folder, supervisord
from deploy.config import StackSettings
from deploy.owner import caller, make_folder, name_of
from deploy.run_folder import LOOPBACK, Remembered, Target
from deploy.supervisord import NotAllowed, Program, Supervisor, Unreachable
from deploy.telling import EX_CONFIG, DeployError, Say, StackPart, Trouble

_ROOT = Path(__file__).parent.parent
_CONFIGURATION = Path(__file__).with_name("supervisord.conf")
# The variables of the person's own environment that a service needs to find its libraries, language and clock.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "USER")
# Beside one descriptor a connection: log, bus, listener, libraries.
_SPARE_FILES = 512
_POLL_SECONDS = 0.05
_START_SECONDS = 15.0
# What has no mail under way is given this long to end by itself.
_ABANDON_SECONDS = 0.5
# States of a program that was started and is not there.
_DOWN = frozenset({"BACKOFF", "EXITED", "FATAL"})


class Processes:
    """The processes that belong to one RUN folder."""

    def __init__(self, run: Path, say: Say) -> None:
        self._run = run
        self._say = say

    def prepare(self, settings: StackSettings) -> Remembered:
        """Make what has to be there before the start: folders in RUN."""
        for name in ("logs", "ready", "journal", "poison"):
            make_folder(self._run / name, caller(), mode=0o700)
        run_folder.forget_signs(self._run)
        for log in self._logs():
            # A start's own log lines must be told from those of the stack before it.
            log.replace(log.with_suffix(".log.before"))
        return Remembered(
            mode="processes",
            project="",
            sockets=str(run_folder.make_sockets(self._run)),
            host=settings.connect_host,
            port=settings.port,
            stop_seconds=settings.stop_seconds,
            settings=settings.remembered(),
        )

    def start(self, settings: StackSettings, remembered: Remembered) -> None:
        """Start supervisord, and wait until it answers."""
        _raise_file_limit(settings.max_connections + _SPARE_FILES)
        errors = self._run / "supervisord.err"
        with errors.open("wb") as output:
            try:
                process = subprocess.Popen(
                    [sys.executable, *_launch(settings), "deploy.supervisord", "-c", str(_CONFIGURATION)],
                    cwd=self._run,
                    env=self._environment(settings, remembered),
                    # Of an owned stack it is the pipe whose other end the owner holds.
                    stdin=None if settings.owned else subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C is for this tool, which then stops the stack in order
                )
            except OSError as error:
                raise DeployError(f"cannot run {sys.executable}: {error.strerror}") from None
        supervisor = _supervisor(remembered)
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                supervisor.pid()
            except Unreachable:
                time.sleep(_POLL_SECONDS)
            else:
                return
        last = errors.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["it does not answer"]
        raise DeployError(f"supervisord did not start: {last[0]}")

    def stop(self, remembered: Remembered | None) -> None:
        """Stop every process of this RUN folder, in order where supervisord can still be asked."""
        if remembered is not None:
            try:
                _supervisor(remembered).shut_down()
            except Unreachable:
                pass
            else:
                # Three groups, one after the other: gateway, workers, store.
                supervisord.gone_within(self._run, 3.0 * remembered.stop_seconds)
        self._end(remembered.stop_seconds if remembered else _ABANDON_SECONDS)
        if remembered is not None:
            run_folder.remove_sockets(Path(remembered.sockets))
        run_folder.forget_signs(self._run)

    def abandon(self, remembered: Remembered) -> None:
        """Stop them all at once."""
        self._end(_ABANDON_SECONDS)
        run_folder.remove_sockets(Path(remembered.sockets))

    def _end(self, grace: float) -> None:
        still = supervisord.end_processes(self._run, grace)
        if still:
            raise DeployError(f"processes {still} of RUN={self._run} cannot be ended")

    def restart(self, _: StackSettings, remembered: Remembered, service: str) -> None:
        """Stop and start the processes of one service, one after another, each when the one before is ready."""
        supervisor = _supervisor(remembered)
        try:
            for program in supervisor.programs():
                if program.group == service:
                    self._say(f"restarting {program.name}")
                    supervisor.stop(program)
                    self._wait(remembered, program.name, "stopped", lambda each: each.state == "STOPPED")
                    (self._run / "ready" / program.name).unlink(missing_ok=True)
                    supervisor.start(program)
                    self._wait(remembered, program.name, "ready", self._is_ready)
        except Unreachable as error:
            raise DeployError(f"supervisord does not answer: {error}") from None

    def _wait(self, remembered: Remembered, name: str, what: str, reached: Callable[[Program], bool]) -> None:
        deadline = time.monotonic() + remembered.stop_seconds + _START_SECONDS
        while not any(reached(each) for each in _supervisor(remembered).programs() if each.name == name):
            if time.monotonic() > deadline:
                raise DeployError(f"{name} is not {what} yet: {self._last_line(name)}")
            time.sleep(_POLL_SECONDS)

    def _is_ready(self, program: Program) -> bool:
        return (self._run / "ready" / program.name).exists()

    def targets(self, settings: StackSettings, _: Remembered) -> list[Target]:
        """Where the numbers are."""
        return run_folder.targets_of_processes(settings.metrics_port, settings.workers)

    def services(self, remembered: Remembered) -> list[StackPart]:
        try:
            programs = _supervisor(remembered).programs()
        except NotAllowed:
            whose = name_of(Path(remembered.sockets))
            raise DeployError(f"RUN={self._run}: you may not look, the stack is {whose}'s") from None
        except Unreachable:
            return []
        return [StackPart(each.name, _in_words(each), each.state in ("RUNNING", "STARTING")) for each in programs]

    def trouble(self, remembered: Remembered) -> Trouble | None:
        """What has ended that should not have, with the last line it said; None where all is well."""
        try:
            programs = _supervisor(remembered).programs()
        except Unreachable:
            return Trouble("supervisord has ended", "")
        for each in programs:
            status = self._exit_status(each.name)
            # One that does not like its settings is tried again all the same, and may look alive just now.
            if each.state in _DOWN or status == EX_CONFIG:
                return Trouble(f"{each.name} has ended with status {status}", self._last_line(each.name), status)
        return None

    def last_lines(self, _: Remembered, count: int) -> str:
        """The last lines of each log."""
        return "\n".join(
            line for log in self._logs() for line in log.read_text("utf-8", "replace").splitlines()[-count:]
        )

    def history(self, _: Remembered) -> list[Iterator[bytes]]:
        return history.of_folder(self._run / "logs")

    def follow(self, _: Remembered, tail: int | None) -> tuple[list[str], dict[str, str]]:
        """The command that shows all logs as they grow, through their rotations, and its environment."""
        begin = "+1" if tail is None else str(tail)
        return ["tail", "-q", "-n", begin, "-F", *map(str, self._logs())], dict(os.environ)

    def _last_line(self, service: str) -> str:
        log = self._run / "logs" / f"{service}.log"
        try:
            return (log.read_text("utf-8", "replace").strip().splitlines() or [""])[-1]
        except OSError:
            return ""

    def _exit_status(self, service: str) -> int:
        """Of its last end; -1 when a signal ended it. supervisord tells that of an early end only in its log."""
        try:
            said = (self._run / "supervisord.log").read_text("utf-8", "replace")
        except FileNotFoundError:
            return -1
        # The log goes on from one supervisord to the next, and what ended under another is no news.
        of_this_one = said.rpartition("supervisord started with pid")[2]
        ends = re.findall(rf"exited: {re.escape(service)} \((?:exit status (\d+))?", of_this_one)
        return int(ends[-1]) if ends and ends[-1] else -1

    def _logs(self) -> list[Path]:
        return sorted((self._run / "logs").glob("*.log"))

    def _environment(self, settings: StackSettings, remembered: Remembered) -> dict[str, str]:
        port = settings.metrics_port
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return (
            inherited
            | settings.for_services()
            | surroundings(self._run, remembered.sockets)
            | {
                "BIND": settings.bind,
                "PORT": str(settings.port),
                "USERS": str(settings.users),
                "MAILBOXES": str(settings.mailboxes),
                supervisord.MARK: str(self._run),
                "CORREIO_SERVICE": " ".join([Path(sys.executable).name, *_launch(settings)]),
                "CORREIO_SOCKETS": remembered.sockets,
                "CORREIO_WORKERS": str(settings.workers),
                "CORREIO_STOP_SECONDS": str(settings.stop_seconds),
                # Empty: no numbers. That of a worker is counted on from the port.
                "CORREIO_METRICS_GATEWAY": f"{LOOPBACK}:{port}" if port else "",
                "CORREIO_METRICS_STORE": f"{LOOPBACK}:{port + 1}" if port else "",
                "CORREIO_METRICS_PORT": str(port) if port else "",
            }
        )


def surroundings(run: Path, sockets: str | Path) -> dict[str, str]:
    """What a service of a stack is given beside its settings, as variables: its modules, and what is in RUN."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        # Behind our own modules, wherever else libraries lie.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", "")))),
        "PYTHONUNBUFFERED": "1",
        "JOURNAL": str(run / "journal" / "journal.sqlite3"),
        "POISON_DIR": str(run / "poison"),
        "GATEWAY_ENDPOINT": f"ipc://{sockets}/gateway",
        "STORE_ENDPOINT": f"ipc://{sockets}/store",
        "FEED_ENDPOINT": f"ipc://{sockets}/feed",
    }


def _launch(settings: StackSettings) -> list[str]:
    """Python's arguments before the name of a module; -P: a folder that a program runs in is none of modules."""
    return ["-P", "-m", *(["deploy.launch"] if settings.owned else [])]


def _supervisor(remembered: Remembered) -> Supervisor:
    return Supervisor(Path(remembered.sockets) / "supervisor.sock")


def _in_words(program: Program) -> str:
    if program.state == "RUNNING":
        return f"running, pid {program.pid}, for {program.age} s"
    if program.state in _DOWN:
        return "down, will be started again"
    return program.state.lower()


def _raise_file_limit(wanted: int) -> None:
    """Services inherit it; a limit that cannot be raised so far bounds the connections, and is no error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
