"""The stack as containers, by compose.

Gives: `Containers`, one of the two ways to run a stack (see `start.Mode`).
Fails: `DeployError` with the line of the service that did not start, or with the engine's own last line.
Limits: the engine has to see this machine's folders, which a remote one does not.
"""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from deploy import engine, run_folder
from deploy.config import StackSettings
from deploy.engine import compose, compose_command, docker, log
from deploy.owner import Owner, give, make_folder
from deploy.run_folder import Remembered, Target
from deploy.telling import DeployError, Say, StackPart, Trouble
from runtime import counted

# The engine makes a container in about a second; a cold disk takes longer.
_START_SECONDS = 180.0
# What has no mail under way is given this long to end by itself.
_ABANDON_SECONDS = 2
# Gateway and workers of a root who is root himself: nobody in particular, as in the images.
_NOBODY = Owner(10001, 10001)
# How soon a service that cannot start ends again.
_RESTART_SECONDS = 5.0
_POLL_SECONDS = 0.05
# Of each container, on its own address: METRICS_PORT only says whether.
_METRICS_PORT = 9120
_SERVICES = '{{.Names}}\t{{.Label "com.docker.compose.service"}}'
_USERS_FOLDER = "/correio/users"
_MAILBOXES = "/correio/mailboxes"


class Containers:
    """The containers that belong to one RUN folder."""

    def __init__(self, run: Path, owner: Owner, say: Say) -> None:
        self._run = run
        self._owner = owner
        self._servant = owner if owner.uid != 0 else _NOBODY
        self._say = say

    def prepare(self, settings: StackSettings) -> Remembered:
        """Make what has to be there before the start: folders in RUN that the containers write to."""
        make_folder(self._run / "journal", self._owner, mode=0o700)
        make_folder(self._run / "poison", self._servant, mode=0o700)
        give(self._run / "poison", self._servant)
        run_folder.make_ready_folder(self._run, self._owner, self._servant)
        run_folder.forget_signs(self._run)
        return Remembered(
            mode="docker",
            project=settings.project,
            sockets=str(run_folder.make_mounted_sockets(self._run, self._servant, self._owner)),
            host=settings.connect_host,
            port=settings.port,
            stop_seconds=settings.stop_seconds,
            settings=settings.remembered(),
        )

    def start(self, settings: StackSettings, remembered: Remembered) -> None:
        """Have the images, and start a container of each service."""
        tag = engine.build(settings.base, self._say)
        self._say("starting the containers")
        self._up(settings, remembered, tag, "--scale", f"session_worker={settings.workers}")

    def restart(self, settings: StackSettings, remembered: Remembered, service: str) -> None:
        """Have the containers of one service made anew, from the images as they are now.

        Workers are replaced: new ones come first, then the old ones are stopped one after another.
        """
        tag = engine.build(settings.base, self._say)
        self._replace(settings, remembered, tag, service)
        there = [name for name, _ in _table(remembered.project, "{{.ID}}\t{{.Names}}")]
        run_folder.forget_signs(self._run, but_of=there)

    def _replace(self, settings: StackSettings, remembered: Remembered, tag: str, service: str) -> None:
        if service != "session_worker":
            self._say(f"restarting {service}")
            self._up(
                settings,
                remembered,
                tag,
                "--no-deps",
                "--force-recreate",
                "--timeout",
                str(remembered.stop_seconds),
                service,
            )
            return
        old = [name for name, its in _table(remembered.project, _SERVICES) if its == service]
        self._say(f"starting {counted(settings.workers, 'new worker')}")
        both = f"session_worker={len(old) + settings.workers}"
        self._up(settings, remembered, tag, "--no-recreate", "--no-deps", "--scale", both, service)
        self._wait_until_healthy(remembered, service)
        for name in old:
            self._say(f"stopping {name}")
            docker("stop", "--time", str(remembered.stop_seconds), name, timeout=_START_SECONDS)
            docker("rm", name)

    def _up(self, settings: StackSettings, remembered: Remembered, tag: str, *arguments: str) -> None:
        environment = dict(os.environ) | settings.for_services() | self._for_compose(settings, tag)
        compose(
            remembered.project, "up", "--detach", "--no-build", *arguments,
            environment=environment, timeout=_START_SECONDS,
        )  # fmt: skip

    def _wait_until_healthy(self, remembered: Remembered, service: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            states = [
                docker("inspect", "--format", "{{.State.Health.Status}}", name).strip()
                for name, its in _table(remembered.project, _SERVICES)
                if its == service
            ]
            if all(state == "healthy" for state in states):
                return
            if time.monotonic() > deadline:
                raise DeployError(f"{service}: new containers are not healthy, the old ones are still there")
            time.sleep(_POLL_SECONDS)

    def stop(self, remembered: Remembered | None) -> None:
        """Stop and remove the containers and networks of the project; harmless when there are none."""
        if remembered is not None:
            self._down(remembered, remembered.stop_seconds)

    def abandon(self, remembered: Remembered) -> None:
        """Stop and remove them without much waiting."""
        self._down(remembered, _ABANDON_SECONDS)

    def _down(self, remembered: Remembered, grace: int) -> None:
        compose(
            remembered.project, "down", "--remove-orphans", "--timeout", str(grace),
            environment=self._without_settings(), timeout=_START_SECONDS + 3 * grace,
        )  # fmt: skip
        run_folder.remove_mounted_sockets(self._run, remembered.sockets)
        run_folder.forget_signs(self._run)

    def targets(self, settings: StackSettings, remembered: Remembered) -> list[Target]:
        """Where the numbers are: on the network between the containers, which this machine is on too."""
        if not settings.metrics_port:
            return []
        network = f"{remembered.project}_bus"
        form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
        return [
            Target(docker("inspect", "--format", form, name).strip(), _METRICS_PORT, service, name)
            for name, service in _table(remembered.project, _SERVICES)
        ]

    def services(self, remembered: Remembered) -> list[StackPart]:
        return [
            StackPart(name, status, status.startswith("Up"))
            for name, status in _table(remembered.project, "{{.Names}}\t{{.Status}}")
        ]

    def trouble(self, remembered: Remembered) -> Trouble | None:
        """The first container that has ended, with the last line it said; None where all are up."""
        for name, _ in _table(remembered.project, "{{.Names}}\t{{.ID}}"):
            status = _ended(name)
            if status is not None:
                said = docker("logs", "--tail", "1", name, with_errors=True).strip()
                return Trouble(f"{name} has ended with status {status}", _as_outside(said, remembered), status)
        return None

    def last_lines(self, remembered: Remembered, count: int) -> str:
        """The last lines of each container's log."""
        names = [name for name, _ in _table(remembered.project, "{{.Names}}\t{{.ID}}")]
        return "\n".join(docker("logs", "--tail", str(count), name, with_errors=True).rstrip() for name in names)

    def history(self, remembered: Remembered) -> list[Iterator[bytes]]:
        return [log(name) for name, _ in _table(remembered.project, "{{.Names}}\t{{.ID}}")]

    def follow(self, remembered: Remembered, tail: int | None) -> tuple[list[str], dict[str, str]]:
        """The command that shows all logs as they grow, and its environment."""
        # Each line is to be a JSON object then.
        bare = ["--no-log-prefix"] if remembered.settings.get("LOG_FORMAT") == "json" else []
        return compose_command(
            remembered.project, "logs", "--follow", "--tail", "all" if tail is None else str(tail), *bare
        ), self._without_settings()

    def _for_compose(self, settings: StackSettings, tag: str) -> dict[str, str]:
        # A symbolic link to the users file is followed here: inside the container it would lead nowhere.
        users = settings.users.resolve()
        host = f"[{settings.bind}]" if ipaddress.ip_address(settings.bind).version == 6 else settings.bind
        values = {
            "TAG": tag,
            "STORE_USER": f"{self._owner.uid}:{self._owner.gid}",
            "USER": f"{self._servant.uid}:{self._servant.gid}",
            "USERS_FOLDER": str(users.parent),
            "USERS_NAME": users.name,
            "MAILBOXES": str(settings.mailboxes),
            "RUN": str(self._run),
            "PUBLISH": f"{host}:{settings.port}",
            "METRICS": f"0.0.0.0:{_METRICS_PORT}" if settings.metrics_port else "",
            "STOP_SECONDS": str(settings.stop_seconds),
        }
        return {f"CORREIO_{name}": value for name, value in values.items()}

    def _without_settings(self) -> dict[str, str]:
        """For compose commands that start nothing: the compose file's variables have to be there all the same."""
        numbers = dict.fromkeys(("TAG", "STORE_USER", "USER", "PUBLISH", "STOP_SECONDS", "METRICS"), "0")
        paths = dict.fromkeys(("USERS_FOLDER", "USERS_NAME", "MAILBOXES", "RUN"), str(self._run))
        return dict(os.environ) | {f"CORREIO_{name}": value for name, value in (numbers | paths).items()}


def _table(project: str, form: str) -> list[tuple[str, str]]:
    """Two columns on each container of the project, stopped ones too, by name."""
    listed = docker("ps", "--all", "--filter", f"label=com.docker.compose.project={project}", "--format", form)
    rows = (line.partition("\t") for line in sorted(listed.splitlines()))
    return [(name, rest) for name, _, rest in rows]


def _ended(name: str) -> int | None:
    """The exit status of a container that has ended; None for one that runs and has run since it was made."""
    deadline = time.monotonic() + _RESTART_SECONDS
    while True:
        seen = json.loads(docker("inspect", "--format", "{{json .}}", name))
        state = seen["State"]
        if not state["Running"] or state["Restarting"]:
            return int(state["ExitCode"])
        if not seen["RestartCount"]:
            return None
        # Started again already, which wiped its status: it will end again, and the engine's pauses grow.
        if time.monotonic() > deadline:
            return -1
        time.sleep(_POLL_SECONDS)


def _as_outside(line: str, remembered: Remembered) -> str:
    """A service's line with the paths that the person knows, not those inside the container."""
    users, mailboxes = remembered.settings["USERS"], remembered.settings["MAILBOXES"]
    return line.replace(f"{_USERS_FOLDER}/{Path(users).resolve().name}", users).replace(_MAILBOXES, mailboxes)
