"""The commands that are told can be pasted into a shell."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from deploy.config import StackSettings
from deploy.start import run_argument, what_next
from tests.deploy.deploying import environment


@pytest.mark.parametrize("name", ["plain", "my run", "a;b", 'o\'dd "$HOME" $(x) #1'])
def test_what_to_type_next_can_be_pasted_whatever_is_in_the_names(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, boxes = folder / name, folder / f"{name} boxes"
    monkeypatch.chdir(folder)
    settings = StackSettings().model_copy(update={"run": run, "mailboxes": boxes, "metrics_port": 9120})
    commands = [shlex.split(line, comments=True) for line in what_next(settings).splitlines()[1:]]
    assert [".venv/bin/correio", "read", "ADDRESS", "--run", str(run)] in [words[:5] for words in commands]
    assert [".venv/bin/correio", "--run", str(run)] in [words[:3] for words in commands]
    assert [".venv/bin/correio", "watch", "--run", str(run)] in [words[:4] for words in commands]
    assert ["cat", str(boxes / "ADDRESS.txt")] in [words[-2:] for words in commands]
    assert ["cat", str(run / "prometheus-targets.json")] in [words[:2] for words in commands]
    # What make gets is seen at a recipe of it.
    (folder / "Makefile").write_text("down:\n\t@printenv RUN\n")
    done = subprocess.run(
        ["sh", "-c", f"make --no-print-directory down{run_argument(run)}"],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.stdout == f"{run}\n"
