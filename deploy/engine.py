"""The docker and compose commands, run with a time limit and their errors in one line.

Gives: `docker` and `compose` to run them, `log` of a container, and whether both are to be had; `run` for other
commands, in the same way.
Fails: `DeployError` naming the command and the last line it said.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from deploy.errors import DeployError

_ANSWER_SECONDS = 10.0
_COMPOSE_FILE = Path(__file__).with_name("compose.yaml")


def docker(*arguments: str, timeout: float = 60.0, cwd: Path | None = None, with_errors: bool = False) -> str:
    """Run a docker command and return what it said on standard output.

    :param timeout: seconds until it is given up.
    :param with_errors: return what it said on standard error as well, in the order it came.
    """
    return run(
        f"docker {arguments[0]}",
        ["docker", *arguments],
        timeout,
        cwd=cwd,
        stderr=subprocess.STDOUT if with_errors else subprocess.PIPE,
    )


def log(name: str) -> Iterator[bytes]:
    """All that the engine still has of what a container said, a line at a time."""
    command = ["docker", "logs", name]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as reading:
        assert reading.stdout is not None
        yield from reading.stdout


def compose(project: str, *arguments: str, environment: Mapping[str, str], timeout: float) -> str:
    """Run a compose command on one project with the variables that the compose file names."""
    return run(f"compose {arguments[0]}", compose_command(project, *arguments), timeout, environment=environment)


def compose_command(project: str, *arguments: str) -> list[str]:
    return [*_compose(), "--project-name", project, "--file", str(_COMPOSE_FILE), *arguments]


def why_not() -> str | None:
    """None where an engine answers and compose is there, else what is missing, in words."""
    if shutil.which("docker") is None:
        return "the docker command is not installed"
    try:
        docker("version", "--format", "{{.Server.Version}}", timeout=_ANSWER_SECONDS)
    except DeployError as error:
        return f"no Docker engine answers ({error})"
    if not _compose():
        return "neither `docker compose` nor `docker-compose` is installed"
    return None


@lru_cache(maxsize=1)
def _compose() -> tuple[str, ...]:
    """Compose as the plugin of today, else the separate command of the 1.29 series."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else ()


def run(
    named: str,
    command: Sequence[str],
    timeout: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stderr: int = subprocess.PIPE,
) -> str:
    """Run a command and return what it said on standard output.

    :param named: what an error line calls it.
    :param timeout: seconds until it is given up.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            check=False,
            timeout=timeout,
            env=environment,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"{named}: no end after {timeout:.0f} s") from None
    except OSError as error:
        raise DeployError(f"{named}: {error.strerror}") from None
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        said = (done.stderr or b"").decode("utf-8", "replace").strip() or output.strip()
        line = _main_line(said) or f"status {done.returncode}"
        raise DeployError(f"{named}: {line}", details=said if "\n" in said else "")
    return output


def _main_line(said: str) -> str:
    """Of many lines the one that says what is wrong: the last that calls itself an error, else the last."""
    lines = said.splitlines()
    errors = [line for line in lines if line.lower().startswith(("error", "cannot"))]
    return (errors or lines or [""])[-1]
