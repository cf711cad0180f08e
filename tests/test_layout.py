"""The house rules that a machine can hold: a test file for each module, files of a readable length, one version."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from runtime import VERSION

ROOT = Path(__file__).parent.parent
PACKAGES = ["wire", "runtime", "gateway", "session_worker", "mailbox_store", "client", "deploy"]
# Tables of constants and values without behaviour are tested through the codec that uses them.
VALUES_ONLY = {"wire/messages.py", "wire/outcomes.py", "wire/limits.py", "deploy/service.py"}
MODULES = [
    str(path.relative_to(ROOT))
    for package in PACKAGES
    for path in sorted((ROOT / package).glob("*.py"))
    if not path.name.startswith("__")
]


@pytest.mark.parametrize("module", [module for module in MODULES if module not in VALUES_ONLY])
def test_every_module_has_a_test_file_of_its_name(module: str) -> None:
    package, name = module.split("/")
    assert (ROOT / "tests" / package / f"test_{name}").exists()


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_a_reader_s_patience(module: str) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module: str) -> None:
    assert (ROOT / module).read_text().startswith('"""')


def test_the_release_has_one_number() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
