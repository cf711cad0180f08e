"""One running stack for all real clients, and a way to find those clients."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import USERS, Stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    users = USERS + "josé@exemplo.com.br\n"
    with tempfile.TemporaryDirectory(prefix="correio-") as name, Stack(Path(name), users=users) as running:
        yield running


def program(name: str) -> str:
    """The path of an installed program; without it the test is skipped, or fails under CI."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path
