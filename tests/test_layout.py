"""The house rules that a machine can hold: a test file for each module, files of a readable length, one version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from runtime import VERSION

ROOT = Path(__file__).parent.parent
PACKAGES = ["mail", "wire", "runtime", "gateway", "session_worker", "mailbox_store", "client", "deploy"]
# Tables of constants and values without behaviour are tested through the codec that uses them.
VALUES_ONLY = {"wire/messages.py", "wire/outcomes.py", "wire/limits.py"}
# What a reader has the patience for, and what is too little for a file of its own.
LONGEST = 300
SHORT = 50
# Short modules are the exception: whoever makes them fewer writes the new number here. It never goes up.
SHORT_MODULES = 7


def python_files(package: Path) -> list[Path]:
    """Those of a package and of its folders, one level deep; a link is another package's."""
    folders = [package, *(each for each in package.iterdir() if each.is_dir() and not each.is_symlink())]
    return sorted(file for folder in folders for file in folder.glob("*.py"))


FILES = [path for package in PACKAGES if (ROOT / package).exists() for path in python_files(ROOT / package)]
MODULES = [str(path.relative_to(ROOT)) for path in FILES if not path.name.startswith("__")]
FOLDERS = sorted({str(path.parent.relative_to(ROOT)) for path in FILES})


def lines(module: str) -> int:
    return len((ROOT / module).read_text().splitlines())


def test_every_module_has_a_test_file_in_the_same_place_under_tests() -> None:
    tests = {module: (ROOT / "tests" / module).with_name(f"test_{Path(module).name}") for module in MODULES}
    assert [module for module, test in tests.items() if not test.exists() and module not in VALUES_ONLY] == []


def test_every_test_file_has_the_name_of_what_it_tests_first() -> None:
    strays = []
    for folder in FOLDERS:
        modules = [path.stem.strip("_") for path in (ROOT / folder).glob("*.py")]
        # What is in deploy/ without being a module.
        modules += ["makefile", "systemd"] if folder == "deploy" else []
        for test in (ROOT / "tests" / folder).glob("test_*.py"):
            if not f"{test.stem}_".startswith(tuple(f"test_{module}_" for module in modules)):
                strays.append(str(test.relative_to(ROOT)))
    assert strays == []


def test_no_module_is_longer_than_a_reader_s_patience() -> None:
    assert [module for module in MODULES if lines(module) > LONGEST] == []


def test_there_are_no_more_short_modules_than_there_were() -> None:
    short = [module for module in MODULES if lines(module) < SHORT]
    assert len(short) <= SHORT_MODULES, short


def test_every_module_and_every_folder_says_what_it_is_for() -> None:
    said = [*MODULES, *(f"{folder}/__init__.py" for folder in FOLDERS)]
    assert [each for each in said if not (ROOT / each).read_text().startswith('"""')] == []


def test_a_folder_has_no_folders_in_it() -> None:
    assert [path for package in PACKAGES for path in ROOT.glob(f"{package}/*/*/*.py")] == []


def test_the_release_has_one_number() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_a_class_has_a_name_that_no_other_package_uses_for_something_else() -> None:
    named: dict[str, set[str]] = {}
    for path in FILES:
        for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(), re.MULTILINE):
            named.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert {name: sorted(places) for name, places in named.items() if len(places) > 1} == {}
