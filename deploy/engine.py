"""The Docker engine: its commands, run with a time limit and their errors in one line, and images of the services,
built when their sources have changed and not otherwise.

Gives: `docker` and `compose` to run them, `log` of a container, `why_not`: whether both are to be had; `build`, which
returns the tag under which all three images are there.
Fails: `DeployError` naming the command and the last line it said; when no base image can be had, a wheel is not to be
downloaded, or a build fails.
Limits: wheels are for CPython 3.11, which the base image must hold; no registry and no package index is reached
from inside a container.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from deploy.owner import Owner, open_lock
from deploy.telling import DeployError, Say

_ANSWER_SECONDS = 10.0
_COMPOSE_FILE = Path(__file__).with_name("compose.yaml")
SERVICES = ("gateway", "session_worker", "mailbox_store")
# Read in this order: what a registry gives, and what base-image.sh makes where none answers.
REGISTRY_BASE = "python:3.11-slim-bookworm"
LOCAL_BASE = "correio/base:bookworm"

_ROOT = Path(__file__).parent.parent
_LOCK = _ROOT / "requirements" / "services.txt"
_WHEELS = _ROOT / "build" / "wheels"
_PULL_SECONDS = 60.0
# debootstrap from a slow mirror.
_BASE_SECONDS = 1200.0
_BUILD_SECONDS = 900.0
_DOWNLOAD_SECONDS = 600.0
# Debian bookworm has glibc 2.36; PEP 600 names a wheel by the oldest glibc it runs on.
_NEWEST_GLIBC = 36
_OLDEST_GLIBC = 5
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


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


def build(base: str, say: Say) -> str:
    """Have the images of all services, from this checkout's sources, and return their tag.

    :param base: the image to build on; empty: the first that is at hand or can be had.
    :param say: is told of each step that takes long.
    """
    with _one_at_a_time():
        base = base or base_image(say)
        tag = _tag(base)
        missing = [name for name in SERVICES if not _has(f"correio/{name}:{tag}")]
        if missing:
            have_wheels(say)
            for name in missing:
                say(f"building the image correio/{name}")
                _build_one(name, base, tag)
    return tag


def _build_one(name: str, base: str, tag: str) -> None:
    image = f"correio/{name}"
    docker(
        "build", "--file", "deploy/Dockerfile", "--build-arg", f"BASE={base}", "--target", name,
        "--tag", f"{image}:{tag}", "--tag", f"{image}:latest", "--label", f"correio.service={name}", ".",
        timeout=_BUILD_SECONDS, cwd=_ROOT,
    )  # fmt: skip


def base_image(say: Say) -> str:
    for image in (REGISTRY_BASE, LOCAL_BASE):
        if _has(image):
            return image
    say(f"fetching the base image {REGISTRY_BASE}")
    try:
        docker("pull", "--quiet", REGISTRY_BASE, timeout=_PULL_SECONDS)
    except DeployError as error:
        say(f"it is not to be had ({error})")
    else:
        return REGISTRY_BASE
    say(f"making the base image {LOCAL_BASE} from Debian packages (about 90 s)")
    try:
        run("base-image.sh", [str(Path(__file__).with_name("base-image.sh")), LOCAL_BASE], _BASE_SECONDS)
    except DeployError as error:
        line = f"no base image, give one with BASE=image or MODE=processes: {error}"
        raise DeployError(line, details=error.details) from None
    return LOCAL_BASE


def _has(image: str) -> bool:
    try:
        docker("image", "inspect", "--format", "{{.Id}}", image)
    except DeployError:
        return False
    return True


def _tag(base: str) -> str:
    """A name for exactly these sources on exactly this base: equal sources are never built twice."""
    try:
        base_id = docker("image", "inspect", "--format", "{{.Id}}", base)
    except DeployError:
        base_id = docker("pull", "--quiet", base, timeout=_BUILD_SECONDS)
    content = hashlib.sha256(base_id.encode())
    for path in sorted(_sources()):
        content.update(f"\0{path.relative_to(_ROOT)}\0".encode())
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    yield _LOCK
    yield Path(__file__).with_name("Dockerfile")
    for folder in ("mail", "wire", "runtime", *SERVICES):
        for path in (_ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def have_wheels(say: Say) -> Path:
    """Download the services' libraries for the engine's machine, unless this lock's are there already.

    :returns: the folder that they are in.
    """
    engine = docker("version", "--format", "{{.Server.Arch}}").strip()
    machine = _ARCHITECTURES.get(engine, engine)
    key = hashlib.sha256(_LOCK.read_bytes() + machine.encode()).hexdigest()
    complete = _WHEELS / "complete"
    if complete.is_file() and complete.read_text() == key:
        return _WHEELS
    say("downloading the libraries of the services")
    shutil.rmtree(_WHEELS, ignore_errors=True)
    _WHEELS.mkdir(parents=True)
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--require-hashes", "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11",
        "--abi", "cp311", *(f"--platform={name}" for name in platforms),
        "--requirement", str(_LOCK), "--dest", str(_WHEELS),
    ]  # fmt: skip
    try:
        run("pip download", command, _DOWNLOAD_SECONDS)
    except DeployError as error:
        raise DeployError(f"cannot download the libraries: {error}", details=error.details) from None
    complete.write_text(key)
    return _WHEELS


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two stacks of one checkout that start together share the wheels and the images."""
    folder = _ROOT / "build"
    folder.mkdir(exist_ok=True)
    # As the folder's files are: of whoever may write there.
    descriptor = open_lock(folder / ".lock", Owner(folder.stat().st_uid, folder.stat().st_gid))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
