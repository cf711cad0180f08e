"""Broken configurations of the whole stack, each with the one line that it must give; see tests/bad_config/."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.deploy.deploying import deploy, processes_of, read_settings
from tests.stack import ROOT, free_port

CASES = sorted(path.parent for path in (ROOT / "tests" / "bad_config").glob("*/expected"))


@pytest.mark.stack
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_configuration_gives_its_line_and_starts_nothing(case: Path, folder: Path) -> None:
    here = folder / "here"
    shutil.copytree(case, here)
    settings = {"MODE": "processes", "PORT": str(free_port())} | read_settings(case / "env")
    done = deploy("up", here, **settings)
    assert done.stderr == (case / "expected").read_text().replace("{folder}", str(here))
    # What the services see, and `make up` does not, is found after it has said how it starts them.
    assert done.stdout in ("", "starting the stack with MODE=processes: as asked for\n")
    assert done.returncode == 78
    assert processes_of(here / "run") == []
    assert not (here / "run" / "stack.json").exists()
