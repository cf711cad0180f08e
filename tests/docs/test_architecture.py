"""The picture of the house: boxes are the packages, arrows what they import and whom their processes speak to."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter

import grimp
import pytest

from docs.architecture import BOXES, IMPORTS, PICTURE, SPEECHES, STARTS, draw, folders
from gateway.config import GatewaySettings
from mailbox_store.config import StoreSettings
from session_worker.config import WorkerSettings
from tests.stack import ROOT

SETTINGS = {"gateway": GatewaySettings, "session_worker": WorkerSettings, "mailbox_store": StoreSettings}
# What is beside the house: nothing of it runs where mail is taken.
BESIDE = {"bench"}


@cache
def module_imports() -> dict[str, set[str]]:
    """Of each module those that it imports, for types alone too."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    graph = grimp.build_graph(*packages, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def imports() -> dict[str, set[str]]:
    """The same of packages."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for module, imported in module_imports().items():
        package = module.partition(".")[0]
        found[package] |= {name.partition(".")[0] for name in imported} - {package}
    return dict(found)


def test_the_picture_is_what_is_drawn_from_the_tables_and_the_folders_of_now() -> None:
    assert PICTURE.read_text("utf-8") == draw(), "make pictures"


def test_no_module_comes_back_to_itself_not_even_through_its_package() -> None:
    """import-linter's contract has it of siblings, between folders too, and not of a package with what lies in it."""
    TopologicalSorter(module_imports()).prepare()


def test_each_package_is_a_box() -> None:
    made = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "docs"}
    assert set(BOXES) == set(imports()) - BESIDE == made - BESIDE


def test_dashed_arrows_are_the_imports() -> None:
    drawn = {package: set(below) for package, below in IMPORTS.items()}
    # The client has `mail` as a folder of its own: a link, for installed it is a package alone.
    assert (ROOT / "client" / "mail").resolve() == ROOT / "mail"
    code = {package: below | ({"mail"} if package == "client" else set()) for package, below in imports().items()}
    assert drawn == {package: below for package, below in code.items() if package not in BESIDE}


@pytest.mark.parametrize("setting", sorted({speech.setting for speech in SPEECHES}))
def test_who_speaks_to_whom_shares_the_setting_of_the_place(setting: str) -> None:
    ends = {end for speech in SPEECHES if speech.setting == setting for end in (speech.speaker, speech.listener)}
    assert ends & set(SETTINGS) == {name for name, cls in SETTINGS.items() if setting.lower() in cls.model_fields}


def test_every_endpoint_of_a_service_is_an_arrow() -> None:
    endpoints = {name.upper() for cls in SETTINGS.values() for name in cls.model_fields if name.endswith("_endpoint")}
    assert endpoints | {"PORT"} == {speech.setting for speech in SPEECHES}


def test_what_runs_is_a_program_and_what_is_only_imported_is_none() -> None:
    run = {name for name in BOXES if (ROOT / name / "__main__.py").exists()}
    assert run == {name for name, box in BOXES.items() if box.process}
    started = re.findall(r"exec \$\{CORREIO_SERVICE\} (\w+)", (ROOT / "deploy" / "supervisord.conf").read_text())
    assert {there for here, there in STARTS if here == "deploy"} == set(started) == set(SETTINGS)


def test_the_picture_has_each_of_these_arrows_and_names() -> None:
    drawn = PICTURE.read_text("utf-8")
    arrows = set(re.findall(r'<path class="\w+" id="([^"]+)"', drawn))
    spoken = {f"{speech.speaker}-{speech.listener}" for speech in SPEECHES}
    answered = {f"{speech.listener}-{speech.speaker}" for speech in SPEECHES if speech.answer}
    started = {f"{here}-{there}" for here, there in STARTS}
    imported = {f"{package}-imports-{name}" for package, below in IMPORTS.items() for name in below}
    files = {"mailbox_store-journal", "mailbox_store-ana.txt", "ana.txt-client"}
    assert arrows == spoken | answered | started | imported | files
    words = set(re.findall(r"[\w.]+", re.sub("<[^>]*>", " ", drawn)))
    assert words >= set(BOXES) | {name for package in ("client", *SETTINGS) for name in folders(package)}


def test_the_readme_says_of_each_package_and_folder_what_lives_there() -> None:
    rows = dict(re.findall(r"^\| `(\w+)/`[^|]* \| (.+) \|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
    assert set(rows) >= set(BOXES)
    for package in BOXES:
        assert {name for name in folders(package) if f"`{name}/`" not in rows[package]} == set(), package
