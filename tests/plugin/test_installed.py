"""What `pip install .` puts into a user's environment: our command and plugin, no name that could be another's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.stack import ROOT

SOURCES = ["client", "deploy", "gateway", "mail", "mailbox_store", "runtime", "session_worker", "wire"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages, made offline from a copy of the sources."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", str(site), str(source)]
    subprocess.run(command, check=True, timeout=100)
    return site


def environment(site: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(site)}


def test_nothing_but_correio_can_be_imported_from_there(site: Path) -> None:
    assert sorted(path.name.partition("-")[0] for path in site.iterdir()) == ["bin", "correio", "correio"]
    script = f"import importlib.util as u; print([n for n in {SOURCES!r} if u.find_spec(n)])"
    # -I keeps this checkout out of the search; the packages of the tests' own environment are found as a user's are.
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=site.parent, timeout=60)
    assert done.stdout == "[]\n"


def test_the_command_is_there_and_says_what_it_can(site: Path) -> None:
    command = [sys.executable, str(site / "bin" / "correio"), "wait", "--help"]
    done = subprocess.run(command, env=environment(site), capture_output=True, text=True, check=True, timeout=60)
    assert "Wait for a mail" in done.stdout


@pytest.mark.stack
def test_the_plugin_starts_the_server_that_came_with_it(site: Path, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import correio.pytest_plugin\n"
        "def test_it(mail, mail_server):\n"
        f"    assert correio.pytest_plugin.__file__.startswith({str(site)!r})\n"
        "    from correio.stack.owned_stack import services_folder\n"
        f"    assert str(services_folder()) == {str(site / 'correio' / '_stack')!r}\n"
        "    assert mail.wait(to='ana@example.com', subject='Hi', after='').id if mail.send("
        "to='ana@example.com', subject='Hi') else None\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(site), capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_extra_stack_is_what_the_services_and_their_supervisor_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    supervisor = [each for each in groups["deploy"] if each.startswith("supervisor")]
    assert project["project"]["optional-dependencies"]["stack"] == groups["services"] + supervisor


def test_every_module_is_installed_and_no_other(site: Path) -> None:
    for name in SOURCES:
        installed = site / "correio" if name == "client" else site / "correio" / "_stack" / name
        assert modules(installed) == modules(ROOT / name)


def modules(package: Path) -> set[Path]:
    """Those of a package and of its folders, links among them."""
    return {file.relative_to(package) for place in ("*.py", "*/*.py") for file in package.glob(place)}
